"""What each of the thirteen declarations says of itself, against a table written by hand from the authors' releases."""

import inspect

import pytest

from cktat.designs import DESIGNS, LATER, make, parameters
from cktat.errors import CktatError
from cktat.labels import Average, Frozen, Gaussian, Learner, Moment, Output, TrueLabel, Uniform, value

ALL = sorted(set(DESIGNS) - set(LATER))


def passes(design) -> dict[str, list[str]]:
    """The views of each network in the order of its passes."""
    found: dict[str, list[str]] = {}
    for network, view in design.cells:
        found.setdefault(network.letter, []).append(view.sign)
    return found


def test_there_are_thirteen_designs():
    # Table 2's ten rows, standard training, MART and Generalist
    ten = {"pgd_at", "trades", "ard", "iad", "rslad", "ltd", "lbgat", "kd_at_auto", "hat", "cktat"}
    assert set(ALL) == ten | {"standard", "mart", "generalist"}


# The order within a network is the order in which BatchNorm sees the views. A cell is passed once, also where TRADES
# and IAD pass it twice.
ORDER = {
    "standard": {"S": ["x"]},
    "pgd_at": {"S": ["x'"]},
    "trades": {"S": ["x", "x'"]},
    "mart": {"S": ["x", "x'"]},
    "ard": {"S": ["x'", "x"], "T": ["x"]},
    "iad": {"S": ["x'", "x"], "T": ["x", "x'"]},
    "rslad": {"S": ["x'", "x"], "T": ["x"]},
    "ltd": {"S": ["x", "x'"], "T": ["x"]},
    "lbgat": {"S": ["x'", "x"], "T": ["x"]},
    "kd_at_auto": {"S": ["x'"], "T": ["x'"]},
    "hat": {"S": ["x", "x'", "x''"], "H": ["x'"]},
    "generalist": {"R": ["x'"], "N": ["x"]},
    "cktat": {"S": ["x'", "x"], "T": ["x"]},
}


@pytest.mark.parametrize("name", ALL)
def test_passes_come_in_the_authors_order_and_once_each(name):
    design = DESIGNS[name]()
    assert passes(design) == ORDER[name]
    assert len(design.cells) == len(set(design.cells)) == sum(map(len, ORDER[name].values()))


def test_iad_2_looks_at_x_prime_with_both_teachers():
    assert passes(DESIGNS["iad"](variant="II")) == {"S": ["x'", "x"], "T": ["x'"], "C": ["x'"]}


@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        ("cktat", {"beta": 0.0}),
        ("lbgat", {"beta": 0.0}),
        ("lbgat", {"beta": 0.0, "teacher": "standard"}),
        ("ard", {"alpha": 1.0}),
        ("iad", {"alpha": 1.0}),
        ("mart", {"beta": 0.0}),
    ],
)
def test_a_vanishing_term_leaves_batchnorms_passes_as_they_were(name, hyper):
    student = passes(DESIGNS[name](**hyper))["S"]
    assert student == ORDER[name]["S"]


@pytest.mark.parametrize(
    ("name", "hyper", "left"),
    [
        ("trades", {"beta": 0.0}, {"S": ["x"]}),
        ("ltd", {"beta": 0.0}, {"S": ["x"], "T": ["x"]}),
        ("hat", {"beta": 0.0}, {"S": ["x", "x''"], "H": ["x'"]}),
        ("hat", {"gamma": 0.0}, {"S": ["x", "x'"]}),
        ("ard", {"alpha": 0.0}, {"S": ["x"]}),
        ("rslad", {"adversarial_share": 1.0}, {"S": ["x'"], "T": ["x"]}),
        ("kd_at_auto", {"tau": 1.0, "share": 0.0}, {"S": ["x'"]}),
        ("cktat", {"guide": "none"}, {"S": ["x'", "x"]}),
        ("cktat", {"guide": "hard"}, {"S": ["x", "x'"]}),
        ("cktat", {"guide": "hard", "beta": 0.0}, {"S": ["x"]}),
        ("cktat", {"guide": "hard at x'"}, {"S": ["x'", "x"]}),
        ("cktat", {"reverse_smooth": True}, {"S": ["x'", "x"], "T": ["x"]}),
    ],
)
def test_a_term_of_weight_0_costs_nothing(name, hyper, left):
    assert passes(DESIGNS[name](**hyper)) == left


def test_hats_helper_view_comes_after_the_view_it_is_made_from():
    signs = [view.sign for view in DESIGNS["hat"]().views]
    assert signs.index("x'") < signs.index("x''")
    without_smooth = DESIGNS["hat"](beta=0.0).views  # x' is then no student's view, and still needed
    assert [view.sign for view in without_smooth].index("x'") < [view.sign for view in without_smooth].index("x''")


def test_hats_helper_view_is_twice_as_far_out_unless_told():
    reach = {str(view): view.reach for view in DESIGNS["hat"]().views if str(view) == "x''"}
    assert reach == {"x''": 2.0}
    assert next(v for v in DESIGNS["hat"](reach=3.5).views if str(v) == "x''").reach == 3.5


# --- inner maximisation: which label is fled, from which start

HARD, OWN, TEACHER = "y", "S(x)", "T(x)"
UNIFORM, GAUSSIAN = Uniform(), Gaussian(0.001)
INNER = {
    "pgd_at": (HARD, UNIFORM),
    "ard": (HARD, UNIFORM),
    "iad": (HARD, UNIFORM),
    "kd_at_auto": (HARD, UNIFORM),
    "generalist": (HARD, UNIFORM),
    "cktat": (HARD, UNIFORM),
    "mart": (HARD, GAUSSIAN),
    "trades": (OWN, GAUSSIAN),
    "ltd": (OWN, GAUSSIAN),
    "lbgat": (OWN, GAUSSIAN),
    "hat": (OWN, GAUSSIAN),
    "rslad": (TEACHER, GAUSSIAN),
}


def inner(design):
    (adversary,) = {cell.view for cell in design.cells if cell.view.sign == "x'"}
    return adversary


@pytest.mark.parametrize("name", sorted(INNER))
def test_inner_maximisation(name):
    label, start = INNER[name]
    adversary = inner(DESIGNS[name]())
    assert (str(adversary.label), adversary.start) == (label, start)
    attacked = DESIGNS[name]().learners[0]
    assert adversary.of == attacked
    if label == HARD:
        assert isinstance(adversary.label, TrueLabel)
    else:
        expected = attacked if label == OWN else DESIGNS[name]().frozen[0]
        assert isinstance(adversary.label, Output)
        assert (adversary.label.network, adversary.label.view.sign, adversary.label.tau) == (expected, "x", 1.0)


def test_every_design_but_standard_is_adversarial():
    assert [name for name in ALL if not DESIGNS[name]().adversarial] == ["standard"]


def test_lbgat_0_keeps_the_inner_maximisation_of_trades():
    adversary = inner(DESIGNS["lbgat"](beta=0.0))
    assert (str(adversary.label), adversary.start) == (OWN, GAUSSIAN)


@pytest.mark.parametrize(
    ("choice", "label", "tau", "start"),
    [("label", "y", None, UNIFORM), ("self", "S(x)", 1.0, GAUSSIAN), ("guide", "T^tau(x)", 5.0, UNIFORM)],
)
def test_cktats_inner_maximisation_can_be_chosen(choice, label, tau, start):
    adversary = inner(DESIGNS["cktat"](inner=choice))
    assert (str(adversary.label), adversary.start) == (label, start)
    assert getattr(adversary.label, "tau", None) == tau


# --- networks

TEACHERS = {
    "ard": {"T": "trades"},
    "iad": {"T": "pgd_at"},
    "rslad": {"T": "trades"},
    "ltd": {"T": "standard"},
    "kd_at_auto": {"T": "pgd_at"},
    "hat": {"H": "standard"},
    "cktat": {"T": "standard"},
}


@pytest.mark.parametrize("name", ALL)
def test_frozen_networks_are_by_default_those_of_the_authors(name):
    frozen = DESIGNS[name]().frozen
    assert {n.letter: n.of for n in frozen} == TEACHERS.get(name, {})
    assert all(n.pick == "best" for n in frozen)


def test_iad_2_has_a_robust_and_a_clean_teacher():
    assert {n.letter: n.of for n in DESIGNS["iad"](variant="II").frozen} == {"T": "pgd_at", "C": "standard"}


@pytest.mark.parametrize("name", sorted(set(TEACHERS) - {"hat"} | {"lbgat"}))
def test_a_teacher_and_its_architecture_can_be_chosen(name):
    design = DESIGNS[name](teacher="mart", teacher_model="wrn34-10")
    teacher = next(n for n in design.networks if n.letter == "T")
    assert isinstance(teacher, Frozen)
    assert (teacher.of, teacher.model) == ("mart", "wrn34-10")


def test_lbgats_teacher_trains_unless_one_is_named():
    together = DESIGNS["lbgat"](teacher_model="resnet18")
    assert [(n.letter, n.model) for n in together.learners] == [("S", None), ("T", "resnet18")]
    assert [n.letter for n in DESIGNS["lbgat"](teacher="standard").learners] == ["S"]
    assert str(together.deployed) == "S"


@pytest.mark.parametrize("name", ALL)
def test_every_design_takes_a_start(name):
    default = "standard" if name == "cktat" else None
    first = DESIGNS[name]().learners[0]
    assert first.start == default
    started = DESIGNS[name](start="standard").learners[0]
    assert (started.letter, started.start) == (first.letter, "standard")
    assert DESIGNS[name](start=None).learners[0].start is None


def test_only_the_student_of_lbgat_is_started():
    assert [n.start for n in DESIGNS["lbgat"](start="standard").learners] == ["standard", None]


def test_cktats_start_is_picked_like_its_teacher():
    for pick in ("best", "last"):
        design = DESIGNS["cktat"](pick=pick)
        assert (design.learners[0].pick, design.frozen[0].pick) == (pick, pick)


@pytest.mark.parametrize(("hyper", "start_tau"), [({}, 1.0), ({"start_tempered": True, "tau": 3.0}, 3.0)])
def test_cktats_start_can_be_tempered(hyper, start_tau):
    assert DESIGNS["cktat"](**hyper).learners[0].start_tau == start_tau


def test_a_calibrated_temperature_reaches_cktats_tempered_start():
    design = DESIGNS["cktat"](tau="auto", start_tempered=True)
    assert design.settle(tau=4.0).learners[0].start_tau == 4.0


@pytest.mark.parametrize("name", ALL)
def test_the_student_is_deployed(name):
    deployed = DESIGNS[name]().deployed
    assert deployed.letter == "S"
    assert isinstance(deployed, Average if name == "generalist" else Learner)


# --- calibrated values


def test_only_kd_at_auto_is_open_by_default():
    assert [name for name in ALL if DESIGNS[name]().open] == ["kd_at_auto"]
    assert sorted(DESIGNS["kd_at_auto"]().open) == ["share", "tau"]


@pytest.mark.parametrize("form", ["two terms", "mix"])
@pytest.mark.parametrize(("tau", "share"), [(2.0, 0.7), (0.5, 1.0), (1.0, 0.0)])
def test_kd_at_auto_settled_is_kd_at_auto_built_with_numbers(form, tau, share):
    maker = DESIGNS["kd_at_auto"]
    settled = maker(form=form).settle(tau=tau, share=share)
    built = maker(form=form, tau=tau, share=share)
    assert settled == built
    assert settled.cells == built.cells
    assert settled.open == ()


@pytest.mark.parametrize("name", ["ltd", "cktat"])
def test_a_temperature_settles_as_if_it_had_been_given(name):
    assert DESIGNS[name](tau="auto").open == ("tau",)
    assert DESIGNS[name](tau="auto").settle(tau=3.0) == DESIGNS[name](tau=3.0)


# --- identity and origin


@pytest.mark.parametrize("name", ALL)
def test_two_designs_of_one_declaration_are_equal(name):
    assert DESIGNS[name]() == DESIGNS[name]()
    assert hash(DESIGNS[name]()) == hash(DESIGNS[name]())


def test_two_designs_that_differ_in_when_they_begin_are_not_equal():
    assert DESIGNS["iad"](begin=0.1) != DESIGNS["iad"](begin=0.2)


def test_hyper_parameters_make_different_designs():
    assert DESIGNS["trades"](beta=1.0) != DESIGNS["trades"](beta=6.0)
    assert DESIGNS["cktat"](start=None) != DESIGNS["cktat"]()


@pytest.mark.parametrize("name", ALL)
def test_origin_records_the_name_and_every_hyper_parameter(name):
    named, hyper = DESIGNS[name](start="mart").origin
    assert named == name
    assert dict(hyper) == {**parameters(DESIGNS[name]), "start": "mart"}
    assert "start" in dict(hyper)


@pytest.mark.parametrize("name", ALL)
def test_a_design_can_be_made_again_from_its_origin(name):
    design = DESIGNS[name](start="mart")
    named, hyper = design.origin
    assert make(named, **dict(hyper)).origin == design.origin


def test_a_changed_design_has_no_origin():
    design = DESIGNS["trades"]()
    assert design.without("smooth").origin is None
    assert design.replace(name="mine").origin is None


@pytest.mark.parametrize("name", ALL)
def test_every_parameter_has_a_default(name):
    assert all(default is not inspect.Parameter.empty for default in parameters(DESIGNS[name]).values())


# The numbers that the authors' scripts use.
DEFAULTS = {
    "standard": {},
    "pgd_at": {},
    "trades": {"beta": 6.0},
    "mart": {"beta": 5.0},
    "ard": {"tau": 30.0, "alpha": 1.0, "per_class": True},
    "iad": {"variant": "I", "tau": 1.0, "alpha": None, "alpha_clean": 0.25, "beta": 0.1, "begin": None},
    "rslad": {"adversarial_share": 5 / 6, "scale": 1.0, "per_class": True},
    "ltd": {"tau": 5.0, "beta": 6.0},
    "lbgat": {"beta": 6.0},
    "kd_at_auto": {"tau": "auto", "share": "auto", "form": "two terms"},
    "hat": {"beta": 2.5, "gamma": 0.5, "reach": 2.0, "helper_label": "top"},
    "generalist": {"form": "released"},
    "cktat": {"tau": 5.0, "beta": 6.0, "start": "standard", "guide": "teacher", "inner": "label", "pick": "best",
              "temper_student": False, "tau_squared": False, "reverse_smooth": False, "hold_target": False,
              "per_class": False, "start_tempered": False},
}  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_defaults_are_the_authors(name):
    given = parameters(DESIGNS[name])
    assert {key: given[key] for key in DEFAULTS[name]} == DEFAULTS[name]


# --- values that are not allowed


@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        ("trades", {"beta": -1.0}),
        ("trades", {"beta": float("nan")}),
        ("trades", {"beta": float("inf")}),
        ("trades", {"beta": "6"}),
        ("mart", {"beta": -5.0}),
        ("ard", {"alpha": 1.5}),
        ("ard", {"alpha": -0.1}),
        ("ard", {"tau": 0.0}),
        ("ard", {"tau": "auto"}),
        ("iad", {"alpha": 1.1}),
        ("iad", {"beta": 0.0}),
        ("iad", {"begin": 2.0}),
        ("iad", {"variant": "III"}),
        ("iad", {"variant": "II", "alpha": 0.9, "alpha_clean": 0.2}),
        ("iad", {"variant": "II", "alpha_clean": -0.1}),
        ("rslad", {"adversarial_share": 1.2}),
        ("rslad", {"scale": -1.0}),
        ("ltd", {"tau": -5.0}),
        ("ltd", {"tau": "automatic"}),
        ("lbgat", {"beta": True}),
        ("kd_at_auto", {"tau": 0.0, "share": 0.5}),
        ("kd_at_auto", {"tau": 1.0, "share": 1.5}),
        ("kd_at_auto", {"tau": 1.0, "share": -0.5, "form": "mix"}),
        ("kd_at_auto", {"form": "one term"}),
        ("hat", {"reach": 0.0}),
        ("hat", {"gamma": -1.0}),
        ("hat", {"helper_label": "second"}),
        ("generalist", {"form": "code"}),
        ("generalist", {"robust_weight_decay": -1e-4}),
        ("cktat", {"tau": float("nan")}),
        ("cktat", {"inner": "ce"}),
        ("cktat", {"guide": "soft"}),
        ("cktat", {"pick": "first"}),
        ("cktat", {"beta": 0.0, "guide": "none"}),
    ],
)
def test_values_that_a_design_does_not_allow_are_errors_that_name_it(name, hyper):
    with pytest.raises(CktatError, match=f"'{name}'|CKTAT"):
        make(name, **hyper)


@pytest.mark.parametrize(
    ("alpha", "alpha_clean"), [(0.5, 0.5), (0.9, 0.1), (0.7, 0.3), (0.8, 0.2), (0.6, 0.4), (1.0, 0.0)]
)
def test_iad_2_may_leave_the_hard_label_out(alpha, alpha_clean):
    """Shares that add up to 1 are allowed however their difference rounds, and leave no hard label."""
    design = make("iad", variant="II", alpha=alpha, alpha_clean=alpha_clean)
    assert "S(x'):y" not in [str(term) for term in design.live]


# --- Generalist: what is averaged, how fast, with which share, and when it is handed back


def test_generalist_averages_the_averages_of_both_learners():
    design = DESIGNS["generalist"]()
    robust, natural, both = design.averages
    assert [a.letter for a in design.averages] == ["R~", "N~", "S"]
    assert (str(robust.of), str(natural.of)) == ("R", "N")
    assert (both.of.a, both.of.b) == (robust, natural)
    assert both.copied_back_to == design.learners
    assert (robust.copied_back_to, natural.copied_back_to) == ((), ())
    assert design.deployed == both


def test_generalist_as_the_paper_writes_it_averages_the_learners():
    design = DESIGNS["generalist"](form="paper")
    (both,) = design.averages
    assert (str(both.of.a), str(both.of.b)) == ("R", "N")
    assert both.copied_back_to == design.learners


def test_generalists_learners_start_equal_and_have_their_own_weight_decay():
    R, N = DESIGNS["generalist"](robust_weight_decay=3.5e-3, natural_weight_decay=5e-4).learners
    assert N.start == R
    assert (R.weight_decay, N.weight_decay) == (3.5e-3, 5e-4)
    assert [n.weight_decay for n in DESIGNS["generalist"]().learners] == [None, None]


@pytest.mark.parametrize("form", ["released", "paper"])
@pytest.mark.parametrize(
    ("step", "decay"),
    [(0, 0.1), (1, 2 / 11), (8, 0.5), (89, 90 / 99), (8989, 8990 / 8999), (8990, 0.999), (10**6, 0.999)],
)
def test_generalists_decay_grows_with_the_updates_to_0_999(form, step, decay):
    # main.py L77-97: min(0.999, (s + 1) / (s + 10))
    for average in DESIGNS["generalist"](form=form).averages:
        assert value(average.decay, Moment(step=step)) == pytest.approx(decay, rel=1e-12)


@pytest.mark.parametrize("form", ["released", "paper"])
@pytest.mark.parametrize("epochs", [120, 240])
def test_generalists_share_is_1_up_to_two_thirds_and_falls_to_0_4(form, epochs):
    # main.py L119, of 120 epochs counted from 1: 1 to epoch 80, 90 -> 0.85, 100 -> 0.70, 110 -> 0.55, 120 -> 0.4
    share = DESIGNS["generalist"](form=form).deployed.of.share
    scale = epochs // 120
    for epoch, wanted in {1: 1.0, 40: 1.0, 80: 1.0, 90: 0.85, 100: 0.70, 110: 0.55, 120: 0.4}.items():
        assert value(share, Moment(epoch=scale * epoch - 1, epochs=epochs)) == pytest.approx(wanted, abs=1e-12), epoch


def test_generalist_hands_back_after_every_step_of_each_fifth_epoch_from_75_of_120():
    when = DESIGNS["generalist"]().deployed.when
    for within in (0.0, 0.4, 0.999):
        handed = [e for e in range(120) if value(when, Moment(progress=(e + within) / 120, epoch=e, epochs=120)) != 0]
        assert handed == [epoch - 1 for epoch in range(75, 121, 5)]


def test_generalist_as_the_paper_writes_it_hands_back_once_in_each_of_these_epochs():
    when = DESIGNS["generalist"](form="paper").deployed.when
    steps = 391
    handed = [
        (e, s)
        for e in range(120)
        for s in (0, 1, 200, steps - 1)
        if value(when, Moment(progress=(e * steps + s) / (120 * steps), epoch=e, epochs=120, step=e * steps + s)) != 0
    ]
    assert handed == [(e, 0) for e in range(74, 120, 5)]
