"""The training loop that every network shares, on a network of one number."""

import pytest
import torch
from torch import nn

from wsvis.errors import InputError
from wsvis.learning.average import WeightAverage
from wsvis.learning.loop import Losses, train
from wsvis.learning.schedule import Optimisation


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor([3.0]))
        self.register_buffer("seen", torch.zeros(()))


class Squares:
    """Learns the slope 0; a batch is a list of numbers."""

    kind, title, cure = "squares", "the line", "give smaller numbers"

    def __init__(self):
        self.network, self.steps = Line(), []

    def parameter_groups(self):
        return [{"params": list(self.network.parameters()), "lr": 0.1}]

    def learned(self):
        return self.network.state_dict()

    def about(self):
        return {"training": "squares"}

    def parts(self, batch):
        return batch

    def losses(self, part, step, count):
        self.steps.append(step)
        self.network.seen += 1
        loss = ((part * self.network.slope) ** 2).sum() / count
        return Losses(loss, loss.detach()[None])

    def row(self, sums):
        return {"loss": float(sums)}


def batches(*numbers):
    def stream(start):
        while True:
            yield list(numbers)

    return stream


def plain(**changes):
    chosen = {"optimiser": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.0}
    return Optimisation(**{**chosen, "schedule": "poly", **changes})


def slope(learner):
    return float(learner.network.slope.detach())


def test_one_step_by_hand():
    learner = Squares()
    result = train(learner, batches(1.0), 1, plain())
    assert slope(learner) == pytest.approx(3 - 0.1 * 2 * 3)
    assert result == {"steps": 1, "loss": pytest.approx(9.0)}


def test_gradients_of_the_parts_of_a_step_add_up():
    learner = Squares()
    train(learner, batches(1.0, 2.0), 1, plain())
    # d/ds of (s^2 + 4 s^2) / 2
    assert slope(learner) == pytest.approx(3 - 0.1 * 5 * 3)
    assert learner.steps == [0, 0]


def test_a_learner_hears_the_step():
    learner = Squares()
    train(learner, batches(1.0), 3, plain())
    assert learner.steps == [0, 1, 2]


def test_the_gradient_is_clipped_to_a_length():
    learner = Squares()
    train(learner, batches(1.0), 1, plain(clip_norm=0.5))
    assert slope(learner) == pytest.approx(3 - 0.1 * 0.5)


@pytest.mark.parametrize("decay", [None, 0.9])
def test_a_resumed_training_ends_as_one_that_never_stopped(decay):
    def run(resume=None, checkpoint=None):
        learner = Squares()
        average = None if decay is None else WeightAverage(learner.network, decay)
        rows = []
        result = train(
            learner,
            batches(1.0),
            6,
            plain(),
            average=average,
            report=rows.append,
            report_every=1,
            checkpoint=checkpoint,
            checkpoint_every=2,
            resume=resume,
        )
        return slope(learner), result, rows

    states = []
    whole = run(checkpoint=states.append)
    assert [state.data["step"] for state in states] == [2, 4, 6]
    resumed = run(resume=states[1])
    assert resumed[:2] == whole[:2]
    assert resumed[2] == whole[2][4:]


def test_a_state_without_an_average_does_not_serve_a_training_with_one():
    states = []
    train(Squares(), batches(1.0), 2, plain(), checkpoint=states.append, checkpoint_every=1)
    learner = Squares()
    average = WeightAverage(learner.network, 0.9)
    with pytest.raises(InputError, match="does not have this network's weights"):
        train(learner, batches(1.0), 2, plain(), average=average, resume=states[0])


def test_a_loss_that_is_no_number_ends_it_with_the_cure():
    with pytest.raises(InputError, match="the line diverged at step 0; give smaller numbers"):
        train(Squares(), batches(float("inf")), 3, plain())


def test_a_state_of_other_settings_is_refused():
    states = []
    train(Squares(), batches(1.0), 2, plain(), checkpoint=states.append, checkpoint_every=1)
    with pytest.raises(InputError, match="was made with training"):
        train(Squares(), batches(1.0), 2, plain(learning_rate=0.2), resume=states[0])


def test_the_network_has_the_averaged_weights_at_the_end():
    learner, steps = Squares(), 5
    average = WeightAverage(learner.network, 0.5)
    path = []
    train(
        learner,
        batches(1.0),
        steps,
        plain(),
        average=average,
        on_step=lambda done: path.append(slope(learner)),
    )
    assert slope(learner) == pytest.approx(average_of([3.0, *path], 0.5))
    assert slope(learner) != path[-1]
    assert float(learner.network.seen) == steps


def average_of(path, decay):
    """The slow twin: one number after the other."""
    mean = path[0]
    for n, value in enumerate(path[1:]):
        share = min(decay, (1 + n) / (10 + n))
        mean = share * mean + (1 - share) * value
    return mean


def test_an_average_of_equal_weights_is_those_weights():
    line = Line()
    average = WeightAverage(line, 0.99)
    for _ in range(3):
        average.update(line)
    assert torch.equal(average.network.slope, line.slope)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_outside_its_range_is_refused(decay):
    with pytest.raises(ValueError, match="decay"):
        WeightAverage(Line(), decay)
