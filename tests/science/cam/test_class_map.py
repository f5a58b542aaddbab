"""Class names of a data set -> classes of ImageNet."""

import json

import pytest

from wsvis.cam.class_map import class_map, imagenet_names
from wsvis.errors import InputError
from wsvis.weights_files import SYNONYMS

# fmt: off
YOUTUBE_VIS = [
    "person", "giant_panda", "lizard", "parrot", "sedan", "ape", "dog", "snake", "monkey",
    "rabbit", "duck", "cat", "cow", "fish", "train", "horse", "turtle", "bear", "motorbike",
    "leopard", "fox", "deer", "owl", "airplane", "truck", "zebra", "tiger", "elephant",
    "boat", "shark", "mouse", "frog", "eagle", "earless_seal", "tennis_racket", "bird", "car",
    "squirrel", "whale",
]
# fmt: on


def mapped(*names, file=""):
    found = class_map(names, file)
    return [[imagenet_names()[place] for place in places] for places in found.imagenet]


def test_every_entry_of_the_shipped_table_is_a_class_of_imagenet():
    table = json.loads(SYNONYMS.read_text())
    found = class_map(list(table))
    for name, places in zip(found.classes, found.imagenet, strict=True):
        assert bool(places) == bool(table[name]), name


def test_the_classes_of_youtube_vis():
    assert class_map(YOUTUBE_VIS).unknown == ()
    nothing = ["giraffe", "skateboard", "snowboard", "surfboard", "hand", "flying_disc"]
    assert class_map(nothing).unknown == tuple(nothing)


@pytest.mark.parametrize("name", ["Zebra", "zebras", "ZEBRA", "ze-bra", "_zebra "])
def test_case_blanks_hyphens_and_plurals_do_not_count(name):
    assert mapped(name) == [["zebra"]]


def test_a_dog_is_any_of_118_breeds():
    (breeds,) = class_map(["dog"]).imagenet
    assert breeds == tuple(range(151, 269))


def test_words_that_mean_the_same_share_their_classes():
    assert mapped("pedestrian") == mapped("person")
    assert mapped("motorcycle") == mapped("motorbike") == mapped("motorbikes")


def test_no_part_of_a_name_is_enough():
    """'seal' of 'sealing wax' or 'car' of 'carpet' must not be mapped."""
    assert mapped("carpet", "sealing wax", "dogma") == [[], [], []]


def test_the_users_file_wins(tmp_path):
    path = tmp_path / "map.json"
    path.write_text('{"Dog": ["Border collie"], "zebra": [], "blob": ["tench..great white shark"]}')
    found = mapped("dog", "zebra", "blob", "cat", file=str(path))
    assert found[:3] == [["Border collie"], [], ["tench", "goldfish", "great white shark"]]
    assert len(found[3]) == 5
    assert class_map(["dog", "zebra", "cat", "lion"], str(path)).origin == (
        "file",
        "",
        "table",
        "name",
    )


def test_a_table_of_two_columns_serves_too(tmp_path):
    path = tmp_path / "map.csv"
    path.write_text("class,imagenet\nblob,tench; goldfish\nblob,eel\nzebra,\n")
    assert mapped("blob", "zebra", file=str(path)) == [["tench", "goldfish", "eel"], []]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"dog": ["Border colie"]}', "did you mean 'Border collie'"),
        ('{"dog": ["eel..tench"]}', "eel..tench"),
        ('{"dog": ["@cat"]}', "@cat"),  # an entry of the shipped table is none of this file
        ('{"dog": 7}', "no class map"),
        ('["dog"]', "no class map"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, text, said):
    path = tmp_path / "map.json"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        class_map(["dog"], str(path))
    assert said in str(error.value)
    assert str(path) in str(error.value)


def test_entries_that_refer_to_each_other_end(tmp_path):
    path = tmp_path / "map.json"
    path.write_text('{"a": ["@b"], "b": ["@a"]}')
    with pytest.raises(InputError, match="@"):
        class_map(["a"], str(path))


def test_what_was_mapped_is_said():
    assert class_map(["cow", "cat", "zebra", "giraffe"]).lines() == [
        "cow: ox, water buffalo, bison (shipped table)",
        "cat: tabby, tiger cat, Persian cat, Siamese cat and 1 more (shipped table)",
        "zebra: zebra (ImageNet's own name)",
        "giraffe: no ImageNet class, so the head trained on these videos",
    ]
