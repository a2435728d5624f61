"""What the emulator's history keeps. Run by python.rs."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "src"))
from ring import MOST_BYTES, MOST_OCCURRENCES, Ring


def occurrences(ring, number):
    answer = json.loads(ring.after(number))
    return answer, [occurrence["n"] for occurrence in answer["occurrences"]]


ring = Ring()
for n in range(MOST_OCCURRENCES + 5):
    ring.add("call", n=n)
answer, numbers = occurrences(ring, 0)
assert numbers == list(range(5, MOST_OCCURRENCES + 5)), numbers[:10]
assert (answer["dropped"], answer["next"]) == (5, MOST_OCCURRENCES + 5)
# Who has read up to there misses nothing.
answer, numbers = occurrences(ring, MOST_OCCURRENCES + 3)
assert (answer["dropped"], numbers) == (0, [MOST_OCCURRENCES + 3, MOST_OCCURRENCES + 4])

large = Ring()
text = "é" * 5_000
for n in range(1_000):
    large.add("call", n=n, text=text)
answer, numbers = occurrences(large, 0)
assert numbers[-1] == 999 and 300 < len(numbers) < 500, len(numbers)
assert answer["dropped"] == 1_000 - len(numbers)
assert large.bytes == sum(map(len, large.kept)) <= MOST_BYTES

# Half of a pair is no text.
large.add("call", n=1_000, text="\ud800")
assert occurrences(large, 1_000)[1] == [1_000]
assert Ring().run != Ring().run
