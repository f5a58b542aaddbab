"""A small ablation and a small flowIRN sweep, whole: stages, pruning, tables, pictures."""

import csv
import json
import re

import mlflow
import pytest
from ray import tune

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.settings import with_overrides
from wsvis_platform.cluster.start import start_ray
from wsvis_platform.options import AblationOptions, SweepOptions
from wsvis_platform.store.store import Store
from wsvis_platform.study.ablation import Variant, _chosen_rows, ablation_and_report
from wsvis_platform.study.baselines import Baseline
from wsvis_platform.study.sweep import sweep_and_report

pytestmark = [pytest.mark.slow, pytest.mark.ray]

TINY = with_overrides(
    Config(),
    {
        "data.synthetic_videos": 4,
        "flow.provider": "dis-ultrafast",
        "classifier.backbone": "small",
        "classifier.weights": "standin",
        "classifier.optimiser": "adamw",
        "classifier.learning_rate": 1e-3,
        "classifier.epochs": 1.0,
        "classifier.crop": 0,
        "classifier.resize_long_side": (0, 0),
        "cam.scales": (1.0,),
        "crf.stride": 4,
        "crf.neighbours": 8,
        "irn.initial": "classifier",
        "irn.boundary_channels": 8,
        "irn.displacement_channels": 16,
        "irn.canvas": (0, 0),
        "irn.scales": (1.0, 1.0),
        "irn.mirror": False,
        "irn.radius_train": 4,
        "walk.radius": 3,
        "irn.optimiser": "adamw",
        "irn.learning_rate": 3e-3,
        "irn.displacement_rate_factor": 1.0,
        "irn.epochs": 1.0,
        "irn.batch_size": 8,
        "walk.steps": 32,
    },
)
NO_BOUND = {"flow_boundary.weight": 0.0}


@pytest.fixture(scope="module", autouse=True)
def local_ray():
    with start_ray(num_cpus=2):
        yield


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def rows(output):
    return ablation_and_report(
        "ablation_flowirn",
        TINY,
        AblationOptions(output=str(output), name="tiny", seeds=(0, 1), thresholds=(0.2, 0.4)),
        preset="tiny",
        title="Tiny.",
        variants=[
            Variant("IRN", {"fcam.amplification": 1.0, **NO_BOUND}, {"YTVIS": 25.42}),
            Variant("flowIRN", {}, {"YTVIS": 28.45}),
        ],
        targets=["pseudo_label_quality"],
    )


def test_every_cell_of_the_table_is_the_stored_number(rows, output):
    folder = output / "ablations" / "tiny"
    trace = json.loads((folder / "table.json").read_text())
    store = Store(output / "store")
    assert [row["name"] for row in trace["rows"]] == ["IRN", "flowIRN"]
    assert len(trace["tried"]) == 4
    for row in trace["rows"]:
        for side in ("training", "held_out"):
            for run in row[side]["runs"]:
                key = run["store_keys"]["pseudo_label_quality"]
                stored = store.read("pseudo_label_quality", key).data
                assert run["scores"]["miou"] == stored["miou"]
    assert "flowIRN" in (folder / "table.md").read_text()
    assert r"\toprule" in (folder / "table.tex").read_text()
    assert len(list((folder / "strips").glob("*.png"))) == 2


def test_all_rows_are_drawn_on_the_same_frames(rows, output):
    assert (output / "ablations" / "tiny" / "comparison.png").stat().st_size > 10_000


def test_curves_of_the_networks_are_in_mlflow(rows, output):
    client = mlflow.MlflowClient(f"sqlite:///{output}/mlflow.db")
    experiment = client.get_experiment_by_name("ablation_flowirn")
    runs = client.search_runs([experiment.experiment_id], "tags.quality_stage != ''")
    assert len(runs) == 2
    for run in runs:
        for name in ("classifier/loss.seed0", "irn/loss.seed1"):
            assert client.get_metric_history(run.info.run_id, name)


def test_the_parent_run_has_the_numbers_of_the_best_row(rows, output):
    client = mlflow.MlflowClient(f"sqlite:///{output}/mlflow.db")
    experiment = client.get_experiment_by_name("ablation_flowirn")
    found = client.search_runs([experiment.experiment_id], "attributes.run_name = 'tiny'")
    best = max(row.measurement.mean("ap50") for row in rows)
    assert found[0].data.metrics["best/ap50"] == pytest.approx(best)


def test_rows_can_be_chosen_and_then_compare_with_what_is_there():
    variants = [Variant("a", {}), Variant("b", {}), Variant("c", {}, against="b")]
    assert _chosen_rows(variants, ()) == variants
    assert [v.against for v in _chosen_rows(variants, (3, 2))] == ["", "b"]
    assert [(v.name, v.against) for v in _chosen_rows(variants, (1, 3))] == [("a", ""), ("c", "")]
    with pytest.raises(InputError, match="--rows 4: the table has 1 'a', 2 'b', 3 'c'"):
        _chosen_rows(variants, (4,))


def test_a_row_that_could_not_be_built_ends_it_before_any_work(tmp_path):
    """Not only the settings that the rows start from are tried."""
    variants = [
        Variant("good", {}),
        Variant("bad", {"system": "boxinst", "detector.weights": "nowhere.pth"}),
    ]
    with pytest.raises(InputError, match=r"nowhere\.pth"):
        ablation_and_report(
            "ablation_boxinst",
            with_overrides(TINY, {"detector.backbone": "small", "detector.weights": "standin"}),
            AblationOptions(output=str(tmp_path), name="bad", seeds=(0,)),
            preset="tiny",
            title="Bad.",
            variants=variants,
            targets=["prediction_quality"],
        )
    assert list(tmp_path.iterdir()) == []


def test_held_out_clips_are_labelled_with_the_networks_of_the_training_clips(rows):
    for row in rows:
        for mine, theirs in zip(row.measurement.keys, row.held_out.keys, strict=True):
            assert mine["irn"] == theirs["irn"]
            assert mine["classifier"] == theirs["classifier"]
            assert mine["cam"] != theirs["cam"]


def test_variants_share_what_they_do_not_change(rows):
    irn, flowirn = (row.measurement.keys[0] for row in rows)
    for stage in ("frames", "classifier", "cam"):
        assert irn[stage] == flowirn[stage]
    # plain IRN uses no motion at all
    assert not {"flow", "motion"} & set(irn)
    assert {"flow", "motion"} <= set(flowirn)
    assert irn["irn"] != flowirn["irn"]


def test_a_sweep_over_flowirn_prunes_and_records_it(rows, output):
    settings = [0.05, 0.5, 2.0, 4.0, 6.0, 8.0]
    sweep_and_report(
        "sweep_flow_boundary",
        TINY,
        SweepOptions(
            output=str(output),
            name="lambda",
            seeds=(0, 1),
            num_samples=len(settings),
            objective="pseudo_label_miou",
            held_out=False,
        ),
        preset="tiny",
        space={"flow_boundary.regularization": tune.uniform(0.01, 9.0)},
        first=[{"flow_boundary.regularization": value} for value in settings],
        fixed={},
        baselines=[Baseline("no f-Bound", "pseudo_label_quality", {"flow_boundary.weight": [0.0]})],
        prepare=("ir_labels",),
        axes=("flow_boundary.regularization", "flow_boundary.weight"),
    )
    folder = output / "sweeps" / "lambda"
    with (folder / "trials.csv").open() as file:
        trials = list(csv.DictReader(file))
    assert len(trials) == len(settings)
    status = {trial["status"] for trial in trials}
    assert status == {"done", "pruned"}
    for trial in trials:
        assert int(trial["seeds"]) == (2 if trial["status"] == "done" else 1)
    done = [float(t["miou"]) for t in trials if t["status"] == "done"]
    best = json.loads((folder / "summary.json").read_text())["rows"][-1]
    assert best["name"] == "best of the sweep"
    mean = sum(run["miou"] for run in best["per_seed"]) / 2
    assert mean == pytest.approx(max(done), abs=1e-4)  # the file has four digits

    client = mlflow.MlflowClient(f"sqlite:///{output}/mlflow.db")
    experiment = client.get_experiment_by_name("sweep_flow_boundary")
    runs = client.search_runs([experiment.experiment_id], "tags.pruned = 'true'")
    # MLflow draws KILLED as it draws FAILED, and would sort numbers over fewer seeds among the rest
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        assert re.match(r"\d\d pruned lambda ", str(run.info.run_name))
        assert "miou" not in run.data.metrics
        assert "pruned/miou" in run.data.metrics
    assert len(runs) == sum(trial["status"] == "pruned" for trial in trials)
    # lambda reaches neither the labels nor anything before them
    for run in runs:
        assert set(run.data.tags["computed"].split()) <= {
            "irn",
            "pseudo_labels",
            "pseudo_label_quality",
        }
