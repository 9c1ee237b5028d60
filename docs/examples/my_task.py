"""Write a word backwards: a whole task. `llmzero tasks docs/examples/my_task.py:Backwards --preview` shows it."""

from random import Random

from tasks.base import Item, Levels, Reward, Task


class Backwards(Task):
    name = "backwards"
    summary = "write a word backwards"
    max_completion_length = 12  # tokens an evaluation may generate
    levels = Levels(lowest=3, highest=8, default=5, doc="letters of a word")  # optional: adds a difficulty

    def generate(self, rng: Random) -> Item:
        word = "".join(rng.choices("abcdefghij", k=rng.randint(3, 8)))
        return Item(prompt=f"R {word}=", answer=word[::-1], data={"letters": len(word)})

    def level(self, item: Item) -> int:
        return item.data["letters"]

    def score(self, completion: str, item: Item) -> Reward:
        correct = completion.strip() == item.answer
        return Reward(correct=correct, total=float(correct))

    def gold(self, item: Item) -> str:  # optional: `llmzero check` tries the verifier with it
        return item.answer
