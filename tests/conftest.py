"""What every test shares: one thread per library, no clock on generated examples."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis

# examples are small, but a busy machine may stall any one of them
hypothesis.settings.register_profile("wsvis", deadline=None)
hypothesis.settings.load_profile("wsvis")
