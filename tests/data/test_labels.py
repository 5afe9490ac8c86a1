"""Label sets: what a word of a dataset means, and that a set which contradicts itself is refused."""

import re

import pytest

from pa_difc.data.labelling import label_words
from pa_difc.data.labels import (
    EXPRESSIONS,
    EXPRESSIONS8,
    LABEL_SETS,
    SEVEN,
    VALENCE,
    LabelSet,
    find_label_set,
    from_words,
    read_label_file,
)
from pa_difc.util.errors import UserError

# The named sets


def test_the_expressions_are_seven_in_the_paper_s_order_and_contempt_is_left_out():
    assert EXPRESSIONS.names == ("surprise", "fear", "disgust", "happy", "sad", "anger", "neutral")
    assert len(EXPRESSIONS) == 7 and [EXPRESSIONS.index(name) for name in SEVEN] == list(range(7))
    assert EXPRESSIONS.index("contempt") is None


def test_contempt_is_the_eighth_expression_where_it_is_asked_for():
    assert len(EXPRESSIONS8) == 8 and EXPRESSIONS8.names[:7] == SEVEN and EXPRESSIONS8.index("Contempt") == 7


def test_valence_has_three_classes_and_no_place_for_surprise():
    expected = {
        "negative": ("fear", "disgusted", "sadness", "Angry", "contempt", "negative"),
        "neutral": ("neutral", "Neutrality"),
        "positive": ("happiness", "joy", "positive"),
    }
    for name, words in expected.items():
        assert {VALENCE.label(VALENCE.index(word)) for word in words} == {name}
    assert VALENCE.index("Surprised") is None


def test_label_sets_are_found_by_name(tmp_path):
    assert {name: find_label_set(name) for name in LABEL_SETS} == LABEL_SETS
    assert find_label_set("folders") is None
    with pytest.raises(UserError, match=r"unknown label set 'valance': did you mean 'valence'.*FILE\.toml"):
        find_label_set("valance")


# What a word means


@pytest.mark.parametrize("word", ["Angry", "anger", " HAPPINESS ", "Surprised", "joy", "Afraid", "neutrality"])
def test_expressions_have_their_usual_synonyms_in_any_case(word):
    assert EXPRESSIONS.index(word) in range(7)


def test_a_set_s_own_synonyms_may_be_usual_ones_too():
    labels = LabelSet(("calm", "Excited"), {"joy": "excited", "Zen": "CALM"}, ("sad",))
    assert [labels.index(w) for w in ("CALM", "zen", "excited", "happy", "Happiness")] == [0, 0, 1, 1, 1]
    assert labels.index("Sadness") is None


def test_an_unknown_word_is_answered_with_the_nearest_names():
    with pytest.raises(UserError, match=r"unknown class 'hapy': did you mean 'happy'\?.*anger.*surprise"):
        EXPRESSIONS.index("hapy")


def test_labels_have_names_for_people():
    assert EXPRESSIONS.label(3) == "happy" and EXPRESSIONS.label(-1) == "no label"


def test_the_classes_of_words_are_the_words_sorted():
    assert from_words(["dog", " Cat ", "bird", "dog"]).names == ("bird", "Cat", "dog")
    with pytest.raises(UserError, match="at least two"):
        from_words(["dog", "dog"])
    with pytest.raises(UserError, match="two names for one class"):
        from_words(["happy", "Happiness"])


# What is refused


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((("one",),), "classes one: there must be at least two"),
        (((),), "classes none"),
        ((("a", " "),), "empty name"),
        ((("happy", "Happiness"),), "'happy' and 'Happiness' are two names for one class"),
        ((("a", "A "),), "two names for one class"),
        ((("a", "b"), {"x": "c"}), "synonym 'x': 'c' is no class (a, b)"),
        ((("a", "b"), {"a": "b"}), "'a' can't stand for 'b': it stands for 'a'"),
        ((("a", "b"), {"x": "a", "X": "b"}), "'X' can't stand for 'b': it stands for 'a'"),
        ((("a", "b"), {}, ("B",)), "'B' can't be left out: it stands for 'b'"),
        ((("a", "b"), {"x": "a"}, ("x",)), "'x' can't be left out: it stands for 'a'"),
    ],
)
def test_a_set_that_contradicts_itself_is_refused(given, words):
    with pytest.raises(UserError, match=re.escape(words)) as error:
        LabelSet(*given)
    assert "\n" not in str(error.value)


# Plain values and hashes


@pytest.mark.parametrize("name", LABEL_SETS)
def test_a_set_comes_back_from_plain_values(name):
    labels = LABEL_SETS[name]
    again = LabelSet.from_dict(labels.to_dict())
    assert again == labels and again.digest == labels.digest and hash(again) == hash(labels)


def test_equal_digests_label_equally():
    one = LabelSet(("a", "b"), {"x": "a", "y": "b"}, ("z", "w"))
    same = LabelSet(("a", "b"), {"Y": "B", "x": "a"}, ("W", "z"))
    others = [
        LabelSet(("b", "a"), one.synonyms, one.excluded),
        LabelSet(("a", "b"), {"x": "b", "y": "b"}, one.excluded),
        LabelSet(("a", "b"), {"x": "a"}, one.excluded),
        LabelSet(("a", "b"), one.synonyms, ("z",)),
    ]
    assert one.digest == same.digest
    assert len({one.digest, *(other.digest for other in others)}) == 5


# Files


def label_file(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_label_file(tmp_path):
    text = 'names = ["calm", "excited"]\nexclude = ["sad"]\n[synonyms]\njoy = "excited"\nzen = "calm"\n'
    labels = find_label_set(str(label_file(tmp_path / "mine.toml", text)))
    assert labels == LabelSet(("calm", "excited"), {"joy": "excited", "zen": "calm"}, ("sad",))
    assert find_label_set(str(label_file(tmp_path / "short.toml", 'names = ["a", "b"]'))) == LabelSet(("a", "b"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('names = ["happy", "joy"]', "two names for one class"),
        ('names = ["a", "b"]\n[synonyms]\nx = "c"', "synonym 'x': 'c' is no class"),
        ('names = ["a", "b"]\nexclude = ["b"]', "'b' can't be left out"),
        ('names = ["a", "b"]\nexcluded = ["c"]', "unknown key 'excluded': did you mean 'exclude'"),
        ("names = [a, b]", "not TOML"),
        ('names = ["a"]', "at least two"),
        ("", "names must be a list of words"),
        ('names = "ab"', "names must be a list of words"),
        ("names = [1, 2]", "names must be a list of words"),
        ('names = ["a", "b"]\nsynonyms = ["c"]', "synonyms must be words with the class of each"),
        ('names = ["a", "b"]\n[synonyms]\nc = 1', "synonyms must be words with the class of each"),
    ],
)
def test_a_bad_label_file_is_one_line_that_names_it(tmp_path, text, words):
    path = label_file(tmp_path / "mine.toml", text)
    with pytest.raises(UserError, match=re.escape(words)) as error:
        read_label_file(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_a_label_file_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        find_label_set(str(tmp_path / "none.toml"))
    (tmp_path / "bytes.toml").write_bytes(b"names = ['\xff', 'b']")
    with pytest.raises(UserError, match="not TOML"):
        find_label_set(str(tmp_path / "bytes.toml"))


# From the words of a dataset to classes


def test_words_become_classes_and_those_left_out_are_counted():
    labelling = label_words("mine", {"Angry": 3, "contempt": 4, "happy": 1}, EXPRESSIONS)
    assert labelling.classes == {"Angry": 5, "contempt": None, "happy": 3} and labelling.excluded == {"contempt": 4}
    assert labelling.label("Angry") == 5 and labelling.label("contempt") is None and labelling.label(None) == -1


def test_a_word_that_is_no_class_is_named_with_what_can_be_done():
    with pytest.raises(UserError) as error:
        label_words("mine", {"happy": 3, "bored": 1200}, EXPRESSIONS)
    said = str(error.value)
    assert "dataset mine" in said and "'bored' (1,200 samples)" in said and ", ".join(SEVEN) in said
    assert "label file" in said and "synonym" in said and "exclude" in said and "\n" not in said


def test_a_dataset_s_own_words_need_labels_and_two_of_them():
    assert label_words("mine", {"dog": 1, "cat": 2}, None).label_set.names == ("cat", "dog")
    with pytest.raises(UserError, match="dataset mine has no labels to make classes of"):
        label_words("mine", {}, None)
    with pytest.raises(UserError, match="dataset mine: classes dog: there must be at least two"):
        label_words("mine", {"dog": 1}, None)
