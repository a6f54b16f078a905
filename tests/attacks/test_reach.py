"""The modules that are seen behind a function, and how far the search goes."""

from __future__ import annotations

from functools import partial, wraps
from types import SimpleNamespace
from typing import Any

import pytest
from torch import Tensor, nn

from cktat.attacks import modules_of

NET = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
NETS = {"one": NET}


def by_name(x: Tensor) -> Tensor:
    return NETS["one"](x)


def decorated(function: Any) -> Any:
    @wraps(function)
    def outer(x: Tensor) -> Tensor:
        return function(x)

    return outer


class Holding:
    def __init__(self, **held: Any) -> None:
        self.held = held

    def __call__(self, x: Tensor) -> Tensor:
        return x

    def logits(self, x: Tensor) -> Tensor:
        return x


class ByName:
    def __call__(self, x: Tensor) -> Tensor:
        return NET(x)


def closed(net: nn.Module) -> Any:
    return lambda x: net(x)


SEEN = {
    "itself": NET,
    "its method": NET.forward,
    "a closure": closed(NET),
    "a name": lambda x: NET(x),
    "a name in a function that is named": lambda x: by_name(x),
    "a name in a function inside": lambda x: [NET(part) for part in x],
    "a default": lambda x, net=NET: net(x),
    "a keyword's default": lambda x, *, net=NET: net(x),
    "a partial's argument": partial(lambda net, x: net(x), NET),
    "a partial's keyword": partial(lambda x, net: net(x), net=NET),
    "a partial's function": partial(NET),
    "an object": Holding(net=NET),
    "an object's method": Holding(nets=[NET]).logits,
    "an object's class": ByName(),
    "a tuple in a namespace": closed(SimpleNamespace(nets=(NET,))),  # type: ignore[arg-type]
    "a decorated function": decorated(by_name),
}


@pytest.mark.parametrize("where", SEEN)
def test_a_network_is_seen_with_all_its_parts(where: str) -> None:
    assert set(modules_of(SEEN[where])) == {NET, *NET}


def test_several_are_seen_once_each() -> None:
    other = nn.Linear(4, 2)
    assert sorted(map(id, modules_of(lambda x: NET(x) + other(x) + by_name(x)))) == sorted(map(id, [NET, *NET, other]))


def test_nothing_is_seen_where_nothing_is() -> None:
    data = [NET] * 101  # as long as that, a list is data
    for function in (len, lambda x: x, Holding(), int, lambda x: data, partial(max, 1), lambda x: not_there(x)):  # type: ignore[name-defined] # noqa: F821
        assert modules_of(function) == []


def test_a_function_that_names_itself_and_a_name_that_is_bound_later() -> None:
    def again(x: Tensor) -> Tensor:
        return again(later(x))

    assert modules_of(again) == []
    later = NET
    assert set(modules_of(again)) == {NET, *NET}
