"""Networks, images and functions of a program, handed to `train` and `evaluate` as they are."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from torch.utils.data import Dataset as TorchDataset

import cktat
from cktat.data import dataset_of
from cktat.errors import CktatError
from cktat.usercode import objects

CLASSES = 3


class Net(nn.Module):
    """A network of a user's: normalised images [N, 1, 6, 6] to logits."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, CLASSES)
            )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def make_net(classes: int) -> nn.Module:
    assert classes == CLASSES
    return Net(seed=int(torch.randint(2**31, ())))


def mirrored(images: Tensor) -> Tensor:
    return torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images.flip(3), images)


def falling(progress: float) -> float:
    return 1 - 0.5 * progress


def stripes(images: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images whose brightest third tells their class."""
    draws = torch.Generator().manual_seed(seed)
    y = torch.arange(images) % CLASSES
    x = torch.randint(0, 120, (images, 1, 6, 6), generator=draws, dtype=torch.uint8)
    for label in range(CLASSES):
        x[y == label, :, 2 * label : 2 * label + 2] += 130
    return x, y


@pytest.fixture(scope="module")
def data() -> dict[str, tuple[Tensor, Tensor]]:
    return {"train": stripes(48, 0), "test": stripes(30, 1)}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CKTAT_STORE", str(tmp_path / "runs"))


def options(data, **more):
    return {"data": data, "model": Net(), "epochs": 3, "batch_size": 12, "eps": 0.1, "lr": 0.05, "show": False} | more


class Seen(cktat.Callback):
    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at, self.order, self.losses = stop_at, [], []

    def begin(self, run) -> None:
        self.order.append(f"begin {run.design} {run.epochs} {run.steps} {run.done} {run.images}")

    def step(self, step: int, losses: Mapping[str, Tensor]) -> None:
        self.losses.append(float(sum(losses.values())))

    def epoch(self, record) -> None:
        self.order.append(f"epoch {record['epoch']}")
        assert record["loss"] == pytest.approx(sum(self.losses[-3:]) / 3)
        if record["epoch"] == self.stop_at:
            raise Interrupted

    def end(self) -> None:
        self.order.append("end")


class Interrupted(Exception):
    pass


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_of_objects_is_interrupted_and_resumed_bit_for_bit(data, tmp_path) -> None:
    own = options(data, augment=mirrored, schedule=falling)
    whole = cktat.train("trades", store=tmp_path / "one", **own)
    with pytest.raises(Interrupted):
        cktat.train("trades", callbacks=[Seen(stop_at=1)], **own)
    seen = Seen()
    again = options(copy.deepcopy(data), augment=mirrored, schedule=falling)  # other objects of the same content
    run = cktat.train("trades", resume=True, callbacks=[seen], **again)
    assert seen.order == ["begin TRADES 3 3 3 36", "epoch 2", "epoch 3", "end"]
    for weights in ("best", "last"):
        assert same(run.load(weights)[0], whole.load(weights)[0])
    assert [line["lr"] for line in run.history()] == pytest.approx([0.05 * falling(step / 9) for step in (2, 5, 8)])


def test_the_users_network_is_not_changed_and_decides_the_start(data) -> None:
    net = Net(seed=4)
    before = copy.deepcopy(net.state_dict())
    run = cktat.train("pgd_at", **options(data, model=net, lr=1e-12, epochs=1, weight_decay=0.0))
    assert same(net.state_dict(), before)
    trained = run.model("last")
    for name, value in net.named_parameters():
        torch.testing.assert_close(dict(trained.named_parameters())[f"body.{name}"], value)


def test_other_content_is_another_run(data) -> None:
    one = cktat.train("pgd_at", **options(data, epochs=1))
    assert cktat.train("pgd_at", ensure=True, **options(data, epochs=1)).path == one.path
    other_net = cktat.train("pgd_at", **options(data, epochs=1, model=Net(seed=1)))
    brighter = {"train": (data["train"][0] + 1, data["train"][1]), "test": data["test"]}
    other_data = cktat.train("pgd_at", **options(brighter, epochs=1))
    other_augment = cktat.train("pgd_at", **options(data, epochs=1, augment=mirrored))
    paths = {run.path for run in (one, other_net, other_data, other_augment)}
    assert len(paths) == 4 and all(path.name.startswith("pgd_at-data-Net-s0-") for path in paths)


def test_what_cannot_be_known_again_is_said_once(data, capsys) -> None:
    dim = 0.5
    own = options(data, epochs=1, augment=lambda images: (images * dim).to(torch.uint8), show=True)
    one, two = (cktat.train("standard", ensure=True, **own) for _ in range(2))
    assert capsys.readouterr().out.count("augment is a lambda that cannot be told from others") == 1
    assert one.path == two.path, "the same object is the same run in one process"
    other = cktat.train("standard", **own | {"augment": lambda images: (images * dim).to(torch.uint8)})
    assert other.path != one.path


def test_a_function_makes_every_learner_and_one_network_cannot_be_two(data) -> None:
    with pytest.raises(
        CktatError, match=r"trains S and T, which begin with weights of their own; give model= a function"
    ):
        cktat.train("lbgat", **options(data))
    run = cktat.train("lbgat", **options(data, model=make_net, epochs=1))
    state = torch.load(run.state, weights_only=True)["team"]
    assert not torch.equal(state["S"]["body.layers.0.weight"], state["T"]["body.layers.0.weight"])
    shared = cktat.train("generalist", **options(data, epochs=1))
    assert shared.finished


def test_teachers_are_trained_from_the_same_objects(data) -> None:
    seen = Seen()
    run = cktat.train("cktat", callbacks=[seen], **options(data, epochs=1))
    assert seen.order == ["begin Standard 1 3 0 36", "epoch 1", "end", "begin CKTAT 1 3 0 36", "epoch 1", "end"]
    assert run.design.name == "CKTAT" and run.finished


def test_a_network_is_loaded_from_a_run_and_from_a_file_of_weights(data) -> None:
    run = cktat.train("trades", **options(data))
    best, last = run.load("best")[0], run.load("last")[0]
    assert not same(best, last), "else nothing is seen here"
    x = data["test"][0] / 255
    for network, wanted in (
        (cktat.load(run), best),
        (cktat.load(run, "last"), last),
        (cktat.load(run.path.name, network=Net(seed=7)), best),
        (cktat.load(run.path / "last.safetensors", network=make_net), last),
    ):
        assert same(network.state_dict(), wanted) and not network.training
        assert torch.equal(network(x), run.model("best" if wanted is best else "last")(x))
    with pytest.raises(CktatError, match="no run at elsewhere"):
        cktat.load("elsewhere")


# Data


class Pairs(TorchDataset):
    """As torchvision's: image and label one by one, with the names of the classes."""

    classes = ("low", "middle", "high")

    def __init__(self, x, y, change=lambda image: image) -> None:
        self.x, self.y, self.change = x, y, change

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index):
        return self.change(self.x[index]), int(self.y[index])


class Stream(IterableDataset):
    def __init__(self, x, y) -> None:
        self.x, self.y = x, y

    def __iter__(self):
        return iter(zip(self.x, self.y, strict=True))


@pytest.mark.parametrize(
    "given",
    [
        lambda x, y: (x.numpy(), y.numpy()),
        lambda x, y: [x, y.to(torch.int32)],
        lambda x, y: (x.float() / 255, y),
        lambda x, y: (x.double().numpy() / 255, y),
        lambda x, y: (x.permute(0, 2, 3, 1).expand(-1, -1, -1, 1).numpy(), y),
        lambda x, y: TensorDataset(x.float() / 255, y),
        lambda x, y: DataLoader(TensorDataset(x, y), batch_size=5, shuffle=True),
        lambda x, y: Pairs(x, y, lambda image: image.float() / 255),
        lambda x, y: DataLoader(Stream(x, y), batch_size=7),
        lambda x, y: Stream(x, y),
    ],
    ids=[
        "numpy",
        "int32",
        "float",
        "double",
        "channels last",
        "TensorDataset",
        "shuffled",
        "pairs",
        "stream loader",
        "stream",
    ],
)
def test_data_of_every_kind_are_the_same_data(given, data) -> None:
    expected = dataset_of(data)
    found = dataset_of({part: given(*pair) for part, pair in data.items()})
    for part in ("train", "held_out", "test"):
        assert torch.equal(getattr(found, part).images, getattr(expected, part).images), part
        assert torch.equal(getattr(found, part).labels, getattr(expected, part).labels), part
    assert found.mean == expected.mean and found.levels == 255 and found.eps == 8 / 255


def test_parts_that_are_missing_are_split_off_and_said(data) -> None:
    found = dataset_of(data["train"])
    assert [len(part) for part in (found.train, found.held_out, found.test)] == [36, 3, 9]
    pixels = {
        part: {image.numpy().tobytes() for image in getattr(found, part).images}
        for part in ("train", "held_out", "test")
    }
    assert not pixels["train"] & (pixels["held_out"] | pixels["test"]) and not pixels["held_out"] & pixels["test"]
    assert "36 for training, 3 held out, 9 for testing" in found.notes[-1]
    order = torch.randperm(48, generator=torch.Generator().manual_seed(0))
    shuffled = dataset_of((data["train"][0][order], data["train"][1][order]))
    assert {image.numpy().tobytes() for image in shuffled.test.images} == pixels["test"], "whatever the order"
    given = dataset_of(data | {"val": stripes(9, 2)})
    assert len(given.held_out) == 9 and torch.equal(given.held_out.images, stripes(9, 2)[0])


def test_names_of_classes_come_along(data) -> None:
    assert dataset_of({part: Pairs(*pair) for part, pair in data.items()}).classes == ("low", "middle", "high")
    assert dataset_of(data).classes == ("0", "1", "2")


def test_grey_levels_in_between_are_rounded_and_said(data) -> None:
    given = {part: (x.float() / 255 + 0.3 / 255, y) for part, (x, y) in data.items()}
    found, exact = dataset_of(given), dataset_of(data)
    assert any("to the nearest of 256 levels" in note for note in found.notes) and not exact.notes
    assert torch.equal(found.test.images, exact.test.images)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (lambda x, y: {"train": (x, y), "tests": (x, y)}, "part of the data"),
        (lambda x, y: {"test": (x, y), "val": (x, y)}, "lacks x_train, y_train"),
        (lambda x, y: {"train": (x, y), "training": (x, y), "test": (x, y)}, "train"),
        (lambda x, y: 5, "data must be a Dataset, "),
        (lambda x, y: Pairs(x, y, lambda image: image + torch.randint(0, 9, image.shape)), "in another way each time"),
        (lambda x, y: Pairs(x, y, lambda image: image[:, : 4 + int(image[0, 0, 0]) % 2]), "of several sizes"),
        (lambda x, y: (x.float() / 127.5 - 1, y), "they look normalised; undo that"),
        (lambda x, y: (x, y + 0.5), "labels must be"),
        (lambda x, y: (x, y[:-1]), "labels for 48 images"),
        (lambda x, y: TensorDataset(x), "pairs of image and label"),
        (lambda x, y: [], "holds no image"),
    ],
)
def test_data_that_are_nothing_are_named(given, says, data) -> None:
    with pytest.raises(CktatError, match=says) as caught:
        dataset_of(given(*data["train"]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"augment": lambda images: images.float()}, "augment must return images as it got them, torch.uint8"),
        ({"augment": lambda images: images[:3]}, "augment must return images as it got them"),
        ({"augment": 5}, "augment must be a name or a function, not a int"),
        ({"schedule": lambda progress: -1.0}, "must answer with the factor of lr, 0 or more"),
        ({"schedule": lambda progress: None}, "must answer with the factor of lr, 0 or more"),
        ({"model": 5}, "model must be a name, an nn.Module or a function that makes one, not a int"),
        ({"model": Net().double()}, "torch.float64; a run trains torch.float32"),
        ({"model": nn.Sequential(nn.Flatten(), nn.Linear(36, 4))}, r"must return floating logits \[N, 3\]"),
        ({"callbacks": [print]}, "must be a list of cktat.Callback objects"),
    ],
)
def test_objects_that_do_not_fit_are_named(wrong, says, data) -> None:
    with pytest.raises(CktatError, match=says) as caught:
        cktat.train("pgd_at", **options(data) | wrong)
    assert "\n" not in str(caught.value)


# Out again


def test_another_program_hands_the_architecture_again(data, monkeypatch) -> None:
    run = cktat.train("pgd_at", **options(data, epochs=1))
    x = torch.rand(5, 1, 6, 6)
    expected = run.model("best")(x)
    monkeypatch.setattr(objects, "_things", {})  # as in another process
    there = cktat.Run.open(run.path.name)
    with pytest.raises(CktatError, match="was an object of the program that made it; hand the same to cktat again"):
        there.model("best")
    assert torch.equal(there.model("best", Net(seed=9))(x), expected)
    assert torch.equal(there.model("best", make_net)(x), expected)
    assert not there.model("best", Net()).training
    with pytest.raises(CktatError, match="does not fit the network"):
        there.model("best", nn.Sequential(nn.Flatten(), nn.Linear(36, 3)))


def test_a_network_in_memory_is_measured_as_its_run_is(data) -> None:
    run = cktat.train("pgd_at", **options(data, epochs=1))
    quiet = {"show": False, "draw": False, "doubts": False}
    expected = [result.robust for result in cktat.evaluate(run, ["pgd20"], eps=0.1, **quiet)]
    net = run.model("best")
    found = cktat.evaluate(net, ["pgd20"], data=data, eps=0.1, **quiet)
    assert [result.robust for result in found] == expected
    as_function = cktat.evaluate(lambda x: net(x), ["pgd20"], data=data, eps=0.1, **quiet)
    assert [result.robust for result in as_function] == expected
    assert {line["attack"] for line in run.results()} == {"clean", "pgd20"}
    assert run.results()[0]["correct"] == expected[0].count("1")


def test_what_was_measured_of_a_network_is_found_again(data, capsys) -> None:
    quiet = {"draw": False, "doubts": False}
    cktat.evaluate(Net(), ["pgd20"], data=data, **quiet)
    capsys.readouterr()
    cktat.evaluate(Net(), ["pgd20"], data=data, **quiet)
    assert capsys.readouterr().out.count("measured already") == 2
    cktat.evaluate(Net(seed=1), ["pgd20"], data=data, **quiet)
    assert "measured already" not in capsys.readouterr().out


def test_a_network_in_l2(data) -> None:
    (_, found) = cktat.evaluate(Net(), ["pgd20"], data=data, norm="L2", eps=0.5, show=False, draw=False, doubts=False)
    assert found.protocol["norm"] == "L2" and found.protocol["eps"] == 0.5
    run = cktat.train("pgd_at", **options(data, epochs=1))
    with pytest.raises(CktatError, match="is a run, whose record says what it is"):
        cktat.evaluate(run, ["pgd20"], norm="L2", show=False)


def test_a_network_needs_images() -> None:
    with pytest.raises(CktatError, match="say with data= which images"):
        cktat.evaluate(Net(), ["pgd20"], show=False)
