"""One thread: the tests' products are small, and their digits should not depend on the machine's cores."""

import torch

torch.set_num_threads(1)
