"""Maintainers' pages of the machine half: texts, runs, fine-tune runs. They show rows and hand work to the queue."""
