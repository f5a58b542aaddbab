"""Faults of the machine at the moment, which say nothing about the input that was being read.

Memory or disk space that ran out, a disk that did not answer, a GPU that is full: the same video
may be fine a minute later. What is remembered about an input must never come from one of these.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from wsvis.errors import InputError

PASSING_ERRNOS = frozenset(
    {
        # memory, space, quotas, limits of open files and processes
        *(errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE),
        *(errno.EAGAIN, errno.ENOBUFS, errno.ENOLCK, errno.EBUSY, errno.ETXTBSY, errno.EINTR),
        # a disk that does not answer, was taken away or became read-only
        *(errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.EROFS, errno.EREMOTEIO),
        *(errno.ENOTCONN, errno.ESHUTDOWN, errno.ECOMM, errno.ENOLINK, errno.EREMCHG),
        # a network disk whose server is away
        *(errno.ETIMEDOUT, errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED),
        *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.EPIPE),
    }
)
_TYPES = (MemoryError, ConnectionError, TimeoutError, BlockingIOError, ImportError)
"""An import that fails speaks of the installation, not of the video at hand."""

_NAMES = frozenset({"OutOfMemoryError", "AcceleratorError"})
"""Errors of torch, by name: nothing is imported to recognise them."""

_TEXTS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "insufficient memory",  # OpenCV
    "can't start new thread",
    # once a GPU has failed, every later call of the process fails with such a text
    "cuda error",
    "cudnn error",
    "cudnn_status_",
    "cublas_status_",
    "cusolver_status_",
    "nccl error",
)


class PassingFault(InputError):
    """The machine failed, not the input: nothing is to be remembered; the next run tries again."""


def is_passing(error: BaseException) -> bool:
    """Whether an error, or one that led to it, comes from the machine's state at the moment.

    An error that was raised while another was handled has that one as its cause even where the
    reader hid it (``raise ... from None``), so a line like "cannot be read" is seen through.
    """
    return any(_is_passing_itself(each) for each in _chain(error))


def passing_fault(what: str, error: BaseException) -> PassingFault:
    """The one line a user sees: what was at work, what failed, and that it can be tried again."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, PassingFault):  # it says the rest already
        return PassingFault(f"{what[:200]}: {text}"[:500])
    if not isinstance(error, (InputError, OSError)) and type(error).__name__ not in text:
        text = f"{type(error).__name__}: {text}"
    if len(text) > 190:
        text = f"{text[:187]}..."
    return PassingFault(
        f"{what[:200]}: {text}; the machine failed, not this input, and nothing is recorded "
        "against it: mend that and run the same command again"
    )


def _is_passing_itself(error: BaseException) -> bool:
    if isinstance(error, (PassingFault, *_TYPES)):
        return True
    if isinstance(error, OSError) and error.errno in PASSING_ERRNOS:
        return True
    if any(kind.__name__ in _NAMES for kind in type(error).__mro__):
        return True
    if isinstance(error, (InputError, KeyError)) or not isinstance(error, Exception):
        return False  # their texts name files of the user's
    text = str(error).lower()
    return any(part in text for part in _TEXTS)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def folder_is_away(folder: str) -> bool:
    """Whether the folder that holds all the data is not there, or an empty mount point.

    With it gone no file of it is to blame: a disk was taken away, or the command runs elsewhere.
    """
    if not folder:
        return False
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return True
