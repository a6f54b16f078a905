"""Designs by name or by file, and what is said of those that cannot be made."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from cktat.designs import DESIGNS, make, parameters, trades
from cktat.errors import CktatError
from cktat.labels import Outputs

OWN = """from cktat.labels import Design, Learner, Term, adversarial, y
def mine(beta=2.0, tau=1.0):
    S = Learner("S"); adv = adversarial(S, y)
    return Design("Mine", (Term(S(adv, tau), y, beta),))
"""


@pytest.fixture
def own(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "own.py"
        path.write_text(text)
        return f"{path}:mine"

    return write


@pytest.mark.parametrize("name", sorted(DESIGNS))
def test_make_gives_the_design_of_that_name(name):
    design = make(name)
    assert design.origin == DESIGNS[name]().origin
    assert design.name == DESIGNS[name]().name


def test_make_passes_hyper_parameters_on():
    assert make("trades", beta=1.0) == DESIGNS["trades"](beta=1.0)


def test_an_unknown_name_gets_the_nearest_names_and_the_way_to_ones_own():
    with pytest.raises(CktatError, match=r"unknown design 'trade'.*did you mean 'trades'") as error:
        make("trade")
    text = str(error.value)
    assert all(name in text for name in DESIGNS)
    assert "file.py:function" in text


@pytest.mark.parametrize("name", sorted(DESIGNS))
def test_an_unknown_parameter_gets_the_list_of_those_there_are(name):
    with pytest.raises(CktatError, match=f"design '{name}' has no parameter 'bata'; it has ") as error:
        make(name, bata=1.0)
    assert str(error.value).endswith(", ".join(parameters(DESIGNS[name])))


def test_parameters_are_the_names_and_defaults():
    assert parameters(DESIGNS["trades"]) == {"beta": 6.0, "start": None, "third_pass": False}


def test_a_wrong_choice_gets_the_choices():
    with pytest.raises(
        CktatError, match=r"'cktat'.*unknown value of inner 'slef'.*did you mean 'self'.*label, self, guide"
    ):
        make("cktat", inner="slef")


def test_a_word_in_a_numbers_place_gets_the_one_word_allowed():
    with pytest.raises(CktatError, match=r"'ltd'.*tau must be a number or auto, not 'best'"):
        make("ltd", tau="best")


def test_a_design_of_ones_own_is_made_from_its_file(own):
    spec = own(OWN)
    design = make(spec, beta=3.0)
    assert design.name == "Mine"
    assert design.origin == (spec, (("beta", 3.0), ("tau", 1.0)))
    (cell,) = design.cells
    loss = design.loss(Outputs({cell: torch.zeros(4, 10)}, torch.zeros(4, dtype=torch.long), 10))
    assert loss.item() == pytest.approx(3.0 * torch.log(torch.tensor(10.0)).item(), rel=1e-6)


@pytest.mark.parametrize(
    ("hyper", "said"),
    [
        ({"bata": 1.0}, "has no parameter 'bata'; it has beta, tau"),
        ({"beta": -1.0}, "the weight of .* must be a finite number of 0 or more, not -1.0"),
        ({"beta": 0.0}, "has no term left"),
        ({"tau": 0.0}, "the temperature of S\\(x'\\) must be a finite number above 0, not 0.0"),
    ],
)
def test_a_design_of_ones_own_is_checked_like_any_other(own, hyper, said):
    spec = own(OWN)
    with pytest.raises(CktatError, match=said) as error:
        make(spec, **hyper)
    assert repr(spec) in str(error.value)


@pytest.mark.parametrize(("returned", "kind"), [("None", "NoneType"), ("42", "int"), ("(1, 2)", "tuple")])
def test_a_function_that_returns_no_design_is_an_error(own, returned, kind):
    spec = own(f"def mine():\n    return {returned}\n")
    with pytest.raises(CktatError, match=f"the function returned {kind}, not a Design"):
        make(spec)


def test_a_file_without_that_function_names_those_it_has(own):
    spec = own(OWN).replace(":mine", ":mime")
    with pytest.raises(CktatError, match=r"unknown function in .*own\.py 'mime'; did you mean 'mine'"):
        make(spec)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(CktatError, match=r"there is no file .*absent\.py"):
        make(f"{tmp_path}/absent.py:mine")


def test_a_file_that_fails_is_reported_in_one_line(own):
    with pytest.raises(CktatError, match="failed to load: ZeroDivisionError: division by zero") as error:
        make(own("1 / 0\n"))
    assert "\n" not in str(error.value)


def test_a_parameter_without_a_default_must_be_given(own):
    spec = own(OWN.replace("beta=2.0", "beta"))
    with pytest.raises(CktatError, match="beta"):
        make(spec)
    assert make(spec, beta=2.0).name == "Mine"


def test_a_decorated_design_of_ones_own_may_be_named_by_its_file(own):
    text = "from cktat.designs.registry import label_design\n" + OWN.replace("def mine", "@label_design\ndef mine")
    spec = own(text)
    assert make(spec, beta=5.0).origin[0] == spec
    with pytest.raises(CktatError, match="has no parameter 'bata'; it has beta, tau"):
        make(spec, bata=1.0)


def test_parameters_may_be_given_by_position_and_are_recorded_by_name():
    assert (
        DESIGNS["trades"](3.0).origin
        == trades(3.0).origin
        == trades(beta=3.0).origin
        == make("trades", beta=3.0).origin
    )
    given = (("beta", 3.0), ("start", "standard"), ("third_pass", False))
    assert trades(3.0, "standard").origin == ("trades", given)
    assert trades(3.0) == trades(beta=3.0) != trades(beta=6.0)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.array, torch.tensor, Fraction])
def test_a_number_of_any_library_becomes_pythons(kind):
    design = trades(kind(3))
    assert design == trades(3)
    assert type(dict(design.origin[1])["beta"]) in (int, float)
    assert str(design) == "S(x):y + 3 S(x'):S(x)"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: trades(1, None, False, 3), "^design 'trades': too many positional arguments$"),
        (lambda: trades(1, beta=2), "^design 'trades': multiple values for argument 'beta'$"),
        (lambda: trades(-1), "^design 'trades': the weight of smooth must be a finite number of 0 or more, not -1$"),
        (lambda: trades("6"), "^design 'trades': the weight of smooth must be .* not '6'$"),
        (lambda: trades(start=3), "^design 'trades': the start of learner S must be None, a learner, a design .*, not 3$"),
        (lambda: make("ard", teacher=3), "^design 'ard': network T must be of a design or the name of one, not 3$"),
        (lambda: make("iad", variant="II", alpha_clean="x"), "^design 'iad': unsupported operand"),
        (lambda: make(3), "^unknown design 3; known: standard, "),
        (lambda: make(["trades"]), "^unknown design "),
    ],
)  # fmt: skip
def test_what_a_design_cannot_be_made_of_is_one_line_that_names_it(call, said):
    with pytest.raises(CktatError, match=said) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("trades", (1.0, None, 3), "design 'trades': third_pass must be true or false, not 3"),
        ("trades", (1.0, None, "yes"), "design 'trades': third_pass must be true or false, not 'yes'"),
        ("pgd_at", (None, "trian"), "must attack in mode eval or train, not 'trian'"),
    ],
)
def test_a_switch_is_one_of_its_values(name: str, values: tuple[object, ...], said: str) -> None:
    with pytest.raises(CktatError) as error:
        DESIGNS[name](*values)
    assert said in str(error.value)


def test_all_switches_of_all_designs_refuse_a_number() -> None:
    switches = [(name, key) for name in DESIGNS for key, v in parameters(DESIGNS[name]).items() if isinstance(v, bool)]
    assert len(switches) > 5
    for name, key in switches:
        with pytest.raises(CktatError, match=f"design '{name}': {key} must be true or false, not 1"):
            make(name, **{key: 1})


def test_a_switch_of_numpy_is_a_switch() -> None:
    assert DESIGNS["trades"](third_pass=np.bool_(True)) == DESIGNS["trades"](third_pass=True)
