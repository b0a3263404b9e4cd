"""From a prompt to the token ids of a model that runs in this process, whatever runs it."""

from collections.abc import Sequence
from typing import Any

from generation.backends.base import BackendError, Identity
from generation.prompts import Prompt


class TokenizedModel:
    """A model whose tokenizer we hold. `context` is how many tokens it takes, question and reply together."""

    def __init__(self, identity: Identity, tokenizer: Any, context: int) -> None:
        self.identity, self.tokenizer, self.context = identity, tokenizer, context
        tokenizer.padding_side = "left"
        added = tokenizer.added_tokens_decoder.values()
        # Some tokenizers do not call special what steers a model all the same, such as <think> and <tool_call>.
        steering = (token.content for token in added if token.special or token.content.startswith(("<", "[")))
        self.special_tokens = {*tokenizer.all_special_tokens, *steering}

    def _prompt_ids(self, prompt: Prompt, room: int) -> list[int]:
        """Token ids of the prompt, its text shortened until `room` more tokens fit into the context."""
        prompt = prompt.neutral_to(self.special_tokens)
        budget = self.context - room
        ids = self._ids(prompt)
        while len(ids) > budget:
            if not prompt.text:
                raise BackendError(
                    f"The context of '{self.identity.name}' ({self.context} tokens) is too small for the prompt "
                    f"and {room} new tokens."
                )
            # Tokens are spread unevenly over characters, so aim a little below the share that should fit.
            share = max(budget - 16, 0) / len(ids)
            prompt = prompt.shortened(min(int(len(prompt.text) * share), len(prompt.text) - 1))
            ids = self._ids(prompt)
        return ids

    def _answered_ids(
        self, prompts: Sequence[Prompt], completions: Sequence[str], spare: int = 0
    ) -> list[tuple[list[int], list[int]]]:
        """Token ids of each prompt and of its completion, which together leave `spare` tokens of the context."""
        rows = []
        for prompt, completion in zip(prompts, completions, strict=True):
            answer = self.tokenizer(completion, add_special_tokens=False)["input_ids"][: self.context // 2]
            if not answer:
                raise ValueError("a completion without tokens has no likelihood")
            rows.append((self._prompt_ids(prompt, len(answer) + spare), answer))
        return rows

    def _ids(self, prompt: Prompt) -> list[int]:
        if not prompt.is_chat:
            ids: list[int] = self.tokenizer(prompt.plain(), verbose=False)["input_ids"]
            # Some tokenizers close every sequence; nothing would follow an end.
            return ids[:-1] if ids and ids[-1] == self.tokenizer.eos_token_id else ids
        return list(self.tokenizer(self._chat(prompt), add_special_tokens=False, verbose=False)["input_ids"])

    def _chat(self, prompt: Prompt) -> str:
        from jinja2 import TemplateError

        options = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False}
        try:
            return str(self.tokenizer.apply_chat_template(prompt.messages(), **options))
        except TemplateError:  # templates without a system role say so this way
            return str(self.tokenizer.apply_chat_template(prompt.messages(has_system_role=False), **options))
        except ValueError as exc:
            raise BackendError(f"The model '{self.identity.name}' has no chat template.") from exc


def first_line(exc: BaseException) -> str:
    return next((line for line in str(exc).splitlines() if line.strip()), type(exc).__name__)
