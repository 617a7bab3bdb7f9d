import pytest

from frostline.data.listing import Listing, arrange
from frostline.errors import DataError


def files(**folders: int) -> tuple[str, ...]:
    """`n` pictures in each folder; `__` in a name stands for `/`."""
    return tuple(f"{name.replace('__', '/')}/{i}.jpg" for name, count in folders.items() for i in range(count))


def test_class_folders() -> None:
    samples, class_names, notes = arrange(Listing(files(dog=2, cat=1)), "here")
    assert class_names == ("cat", "dog")
    assert [(sample.path, sample.target, sample.split) for sample in samples] == [
        ("cat/0.jpg", 0, None),
        ("dog/0.jpg", 1, None),
        ("dog/1.jpg", 1, None),
    ]
    assert notes == ()


def test_the_order_of_the_listing_does_not_matter() -> None:
    listing = files(b=3, a=2, c=4)
    assert arrange(Listing(listing), "here") == arrange(Listing(listing[::-1]), "here")


def test_class_names_are_sorted_naturally() -> None:
    assert arrange(Listing(files(class10=1, class9=1, class1=1)), "here").class_names == ("class1", "class9", "class10")


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_split_folders(val: str) -> None:
    listing = (*files(train__a=2, train__b=2, test__a=1, test__b=1), f"{val}/a/0.jpg", f"{val}/b/0.jpg")
    samples, class_names, notes = arrange(Listing(listing), "here")
    assert class_names == ("a", "b")
    assert [sample.split for sample in samples].count("train") == 4
    assert [sample.split for sample in samples].count("val") == 2
    assert [sample.split for sample in samples].count("test") == 2
    assert notes == ()


@pytest.mark.parametrize("wrapper", ["photos", "photos/v2", "a b/c"])
def test_wrapping_folders_are_seen_through_and_kept_in_paths(wrapper: str) -> None:
    plain = arrange(Listing(files(train__a=2, train__b=2, val__a=1, val__b=1)), "here")
    wrapped = arrange(Listing(tuple(f"{wrapper}/{s.path}" for s in plain.samples)), "here")
    assert [sample.path for sample in wrapped.samples] == [f"{wrapper}/{sample.path}" for sample in plain.samples]
    assert [(s.target, s.split) for s in wrapped.samples] == [(s.target, s.split) for s in plain.samples]


def test_a_wrapper_beside_a_folder_without_pictures_is_still_one() -> None:
    arranged = arrange(Listing((*files(photos__a=1, photos__b=1), "docs/readme.md"), ("docs",)), "here")
    assert arranged.class_names == ("a", "b")


def test_a_class_may_be_called_train_or_test() -> None:
    assert arrange(Listing(files(bus=1, plane=1, train=1)), "here").class_names == ("bus", "plane", "train")
    assert arrange(Listing(files(test=1, control=1)), "here").class_names == ("control", "test")


def test_a_test_folder_alone_can_be_evaluated() -> None:
    samples, class_names, _ = arrange(Listing(files(test__a=1, test__b=1)), "here")
    assert class_names == ("a", "b")
    assert {sample.split for sample in samples} == {"test"}


def test_unlabelled_pictures_are_left_out_and_counted() -> None:
    samples, _, notes = arrange(Listing((*files(train__a=2, train__b=2, test=3), "cover.jpg")), "here")
    assert len(samples) == 4
    assert notes == ("left out pictures that lie in no class folder: 3 in test, 1 in the top folder",)


def test_other_files_are_left_out_and_counted_but_odd_names_are_pictures() -> None:
    listing = (*files(a=1, b=1), "a/labels.csv", "a/Thumbs.db", "b/notes.TXT", "readme.md", "b/photo", "b/x.jpg.webp~")
    samples, _, notes = arrange(Listing(listing), "here")
    assert [sample.path for sample in samples] == ["a/0.jpg", "b/0.jpg", "b/photo", "b/x.jpg.webp~"]
    assert notes == ("left out files that are no pictures: 1 .csv, 1 .db, 1 .md, 1 .txt",)


def test_what_the_system_put_there_is_ignored() -> None:
    listing = (*files(a=1, b=1), "__MACOSX/a/._0.jpg", "a/.DS_Store", ".git/x.jpg", "b/@eaDir/0.jpg")
    arranged = arrange(Listing(listing, ("__MACOSX", ".git")), "here")
    assert len(arranged.samples) == 2
    assert arranged.notes == ()


def test_deeper_folders_belong_to_their_class_and_are_noted() -> None:
    samples, class_names, notes = arrange(Listing(files(a=1, a__2020__may=2, b=1)), "here")
    assert class_names == ("a", "b")
    assert [sample.target for sample in samples] == [0, 0, 0, 1]
    assert notes == ("pictures in folders inside a class folder belong to that class: 2 in a/2020/may",)


def test_a_long_note_names_the_first_folders_only() -> None:
    nested = tuple(f"a/{index}/x.jpg" for index in range(40))
    assert arrange(Listing((*files(a=1, b=1), *nested)), "here").notes == (
        "pictures in folders inside a class folder belong to that class: "
        "1 in a/0, 1 in a/1, 1 in a/2, 1 in a/3, 1 in a/4, and more in 35 other folders",
    )


def test_a_class_missing_from_a_split_is_noted() -> None:
    arranged = arrange(Listing(files(train__a=1, train__b=1, val__b=1)), "here")
    assert arranged.class_names == ("a", "b")
    assert arranged.notes == ("the val split has no pictures of: a",)
    assert [sample.target for sample in arranged.samples if sample.split == "val"] == [1]


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        (Listing(()), "holds no pictures"),
        (Listing(("readme.txt",)), "holds no pictures"),
        (Listing((), ("a", "b")), "holds no pictures"),
        (Listing(("0.jpg", "1.jpg")), "no class folders"),
        (Listing(("train/0.jpg", "val/1.jpg", "test/2.jpg", "train/a/3.txt")), "no class folders"),
        (Listing(files(a=1, b=1), ("a", "b", "c")), "class folder c holds no pictures"),
        (Listing((*files(a=1, b=1), "c/readme.txt")), "class folder c holds no pictures"),
        (Listing(files(train__a=1, train__b=1, val__c=1), ("train/c",)), "class folder train/c holds no pictures"),
        (Listing(files(train__a=1, train__b=1, test__c=1)), "test split has classes that the train split lacks: c"),
        (Listing(files(train__a=1, train__b=1, val__a=1, valid__a=1)), "two val splits, val and valid"),
        (Listing((*files(a=1), "b/x\n.jpg")), r"'b/x\\n\.jpg' is not plain"),
        (Listing((*files(a=1), "b/\udcff.jpg")), r"'b/\\udcff\.jpg' is not plain"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(listing: Listing, message: str) -> None:
    with pytest.raises(DataError, match=f"^/photos.*{message}") as caught:
        arrange(listing, "/photos")
    assert "\n" not in str(caught.value)
