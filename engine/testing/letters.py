"""Tasks of a user's file for the tests of training: an untrained tiny model earns something, and each way to fail."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

from tasks.base import Item, Reward, Split, Task


class Letters(Task):
    """The more letters of the first half of the alphabet, the better; learnable from an untrained model."""

    name = "letters"
    summary = "write letters from a to m"
    max_completion_length = 8
    alphabet = "ABC+-"

    def generate(self, rng: random.Random) -> Item:
        return Item("K " + "".join(rng.choice(self.alphabet) for _ in range(6)) + ">", "a")

    def score(self, completion: str, item: Item) -> Reward:
        share = sum("a" <= c <= "m" for c in completion) / 8
        return Reward(share >= 0.25, share, {"letters": share})


class Quick(Letters):
    """One token a completion, so that a step is as short as it gets."""

    max_completion_length = 1


class Nothing(Letters):
    """Whatever is written is wrong."""

    def score(self, completion: str, item: Item) -> Reward:
        return Reward(False, 0.0)


class Broken(Letters):
    """Scores with what `fault` gives; a completion of every kind comes by within a step."""

    def fault(self) -> Any:
        raise NotImplementedError

    def score(self, completion: str, item: Item) -> Reward:
        return Reward(False, self.fault())


class GivesNan(Broken):
    def fault(self) -> Any:
        return float("nan")


class GivesInfinity(Broken):
    def fault(self) -> Any:
        return float("inf")


class GivesNone(Broken):
    def fault(self) -> Any:
        return None


class GivesText(Broken):
    def fault(self) -> Any:
        return "1.0"


class Raises(Broken):
    def fault(self) -> Any:
        raise KeyError("no such\nanswer")


class Sometimes(Letters):
    """A grader that fails on some completions of every step, by their text."""

    def score(self, completion: str, item: Item) -> Reward:
        if sum(map(ord, completion)) % 5 == 0:
            raise TimeoutError("the grader did not answer")
        return super().score(completion, item)


class Exits(Letters):
    def score(self, completion: str, item: Item) -> Reward:
        raise SystemExit("cannot parse")


class Interrupts(Letters):
    """As a sandbox does that stops its own work by Ctrl+C."""

    def score(self, completion: str, item: Item) -> Reward:
        raise KeyboardInterrupt


class NoReward(Letters):
    def score(self, completion: str, item: Item) -> Reward:
        return 1.0  # type: ignore[return-value]


class OutOfMemory(Broken):
    """What an accelerator says when it is full."""

    def fault(self) -> Any:
        import torch

        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


class OutOfCpuMemory(Broken):
    """What torch's allocator says when the machine is full: an allocation of 4 EiB is refused."""

    def fault(self) -> Any:
        import torch

        return torch.empty(2**60, dtype=torch.float32)


class OutOfPythonMemory(Broken):
    def fault(self) -> Any:
        raise MemoryError


class Strange(Letters):
    alphabet = "AB€"


class Endless(Letters):
    max_completion_length = 300


class Few(Letters):
    """A data set of three prompts."""

    def items(self, split: Split, n: int, seed: int = 0) -> list[Item]:
        return super().items(split, n, seed)[: 3 if split is Split.TRAIN else n]


class None_(Letters):
    """A data set without a single held-out prompt: its generator knows one prompt only."""

    def generate(self, rng: random.Random) -> Item:
        return Item("K ABC>", "a")


class Configurable(Letters):
    """Has a hyperparameter of its own, as difficulty would be."""

    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        return {"difficulty": {"low": 1, "high": 5, "default": 5}}

    def configured(self, parameters: Mapping[str, float | int]) -> Configurable:
        task = Configurable()
        task.alphabet = self.alphabet[: int(parameters["difficulty"])]
        return task


class Warns(Letters):
    """Warns by a logger of its own, as a library does."""

    def score(self, completion: str, item: Item) -> Reward:
        import logging

        logging.getLogger("some_library").warning("the weights are odd")
        return super().score(completion, item)


class Noisy(Letters):
    """Prints, reads its input, and writes to the real descriptors, as user code and libraries do."""

    def score(self, completion: str, item: Item) -> Reward:
        import os

        print('{"kind":"ended","job":"1"}')  # noqa: T201
        os.write(1, b"straight to the descriptor\n")
        if os.read(0, 1):
            raise RuntimeError("a request was stolen")
        return super().score(completion, item)


class Hangs(Letters):
    """Never comes back from a score."""

    def score(self, completion: str, item: Item) -> Reward:
        time.sleep(3600)
        return super().score(completion, item)


class Quits(Letters):
    """Ends the process as a crash in native code does: without a word."""

    def score(self, completion: str, item: Item) -> Reward:
        import os

        os._exit(7)
