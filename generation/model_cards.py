"""The card of a model that was trained here: what made it, what it is for, and what is not known of it."""

from typing import TYPE_CHECKING, Any

from generation.models import Task

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

USES = {
    Task.DRAFT: "It reads a natural web text and drafts the English instruction that the text answers. Drafts go "
    "before people, who choose, correct or reject them.",
    Task.ANSWER: "It answers an English instruction in the language that the instruction asks for.",
    Task.SCORE: "It says how well a text answers an instruction, to choose what goes before people first. A score "
    "is no verdict.",
}
LIMITS = (
    "Small amounts of training data, from few people and few sources, give a model their blind spots too. Nothing was "
    "measured on languages other than those named above, and nobody has tested what it says of health, law or people."
)


def model_card(name: str, recipe: dict[str, Any]) -> "ModelCard":
    """The card for what stands in recipe.json; its head is what the hub reads."""
    from huggingface_hub import ModelCard, ModelCardData

    base = recipe["base_model"]
    is_on_hub = not base["location"].startswith("/") and "/" in base["location"]
    head = ModelCardData(
        model_name=name,
        language=recipe["languages"],
        license=base["licence"] or None,
        base_model=base["location"] if is_on_hub else None,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["xinstruct", recipe["task"], "trl", recipe["config"].get("objective", "sft")],
    )
    return ModelCard(f"---\n{head.to_yaml()}\n---\n\n{_body(name, recipe)}")


def _body(name: str, recipe: dict[str, Any]) -> str:
    base = recipe["base_model"]
    data = [
        f"- release `{release['name']}`: {release['pairs']:,} pairs, sha256 `{release['sha256']}`, licences "
        f"{', '.join(release['licences'])}"
        for release in recipe["releases"]
    ]
    if recipe["seeds"]:
        data.append(f"- seed pairs of {', '.join(recipe['seeds'])}: licences {', '.join(recipe['seed_licences'])}")
    if recipe["config"].get("uncurated"):
        data.append("- in their place, to compare: as many raw drafts of other texts, which nobody has chosen")
    config = {word: value for word, value in recipe["config"].items() if value not in (None, {}, "")}
    said = {"method": recipe["method"], **config, "max_length": recipe["max_length"], "precision": recipe["precision"]}
    losses = f"{recipe['loss_first']:.4f} at the first step, {recipe['loss_last']:.4f} at the last"
    held_out = "No pair was held out."
    if recipe["validation"]:
        (_, first), (_, last) = recipe["validation"][0], recipe["validation"][-1]
        held_out = f"On {recipe['held_out']:,} held-out pairs: {first:.4f} before training, {last:.4f} after it."
    return "\n".join(
        [
            f"# {name}\n",
            f"Trained by xinstruct for the task *{recipe['task']}*.\n",
            "## Intended use\n",
            f"{USES[recipe['task']]}\n\n{LIMITS}\n",
            "## Base model\n",
            f"{base['name']}, revision `{base['revision']}`, licence {base['licence'] or 'unknown'}. "
            "The licence of this model is that of its base; the data have their own.\n",
            "## Data\n",
            f"{recipe['pairs']:,} pairs, of which {recipe['held_out']:,} were held out and "
            f"{recipe['pairs_skipped']:,} did not fit.\n",
            *data,
            "\n## Recipe\n",
            "| | |\n|---|---|",
            *(f"| {word} | {value} |" for word, value in said.items()),
            f"\n{recipe['steps']:,} steps, {recipe['tokens']:,} tokens, {recipe['seconds']:,.0f} seconds on "
            f"{recipe['device']}; {', '.join(f'{tool} {version}' for tool, version in recipe['versions'].items())}.\n",
            "## Loss\n",
            f"On the training pairs: {losses}. {held_out}\n",
        ]
    )
