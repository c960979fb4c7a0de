"""What a GPU does with this project: whether its numbers are right, how fast they come, and what memory they take.

One file for each part of the benchmark. They need PyTorch, NumPy and pydantic, no network and no data: images are drawn
at random.
"""
