"""Fine-tuning on the CPU: a tiny random model, trained for a few steps by the code that trains real ones."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from huggingface_hub import ModelCard

from generation import (
    asking,
    calibrating,
    finetuning,
    footprint,
    jobs,
    lessons,
    loading,
    prompts,
    recipes,
    results,
    rubric,
    scoring,
    training,
)
from generation.backends import hf_local
from generation.backends.base import Sampling, Source
from generation.models import (
    FineTuneRun,
    JobState,
    ModelVersion,
    Release,
    ReleaseRow,
    ReleaseState,
    Score,
    SeedPair,
    SeedState,
    Split,
    Task,
)
from tests.factories import make_candidate, make_model_version, make_text, make_user
from xinstruct_site.people.models import Language

WORDS = "kala leipä tori sää juna koulu peli marja villa kirja sanonta juhla talvi kesä järvi metsä".split()  # noqa: SIM905


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory) -> Path:
    """A Llama of a few thousand weights with a byte-level tokenizer, as a folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|endoftext|>": 0} | {letter: number for number, letter in enumerate(alphabet, start=1)}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|endoftext|>")
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=512,
            bos_token_id=None,
            eos_token_id=0,
            pad_token_id=0,
        )
    )
    folder = tmp_path_factory.mktemp("base") / "tiny"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def tiny(db, tiny_folder) -> ModelVersion:
    return make_model_version(
        name="tiny", location=str(tiny_folder), revision=hf_local.weights_sha256(tiny_folder), licence_id="apache-2.0"
    )


@pytest.fixture
def release(finnish) -> Release:
    return make_release(finnish)


def make_release(finnish: Language, splits: Sequence[Split] = ()) -> Release:
    """A ready release of 16 short pairs; the first of them in those splits."""
    release = Release.objects.create(name="fi-1", state=ReleaseState.BUILDING)
    release.languages.add(finnish)
    for position, word in enumerate(WORDS):
        row = {
            "instruction": f"Describe {word} in one sentence.",
            "input": "",
            "response": f"Meillä on {word}, ja {word} on hyvä. Siitä puhutaan usein.",
            "language": "fi",
            "language_name": "Finnish",
            "licence": "CC0-1.0",
            "pair": f"pair{position}",
        }
        ReleaseRow.objects.create(
            release=release,
            position=position,
            pair_public_id=f"pair{position}",
            language_code="fi",
            split=splits[position] if position < len(splits) else Split.TRAIN,
            text_sha256=f"{position:064x}",
            row=row,
            row_sha256=f"{position:064x}",
        )
    Release.objects.filter(pk=release.pk).update(state=ReleaseState.READY, sha256="a" * 64)
    release.refresh_from_db()
    return release


def open_run(release: Release, base: ModelVersion, task: str = Task.DRAFT, **config: Any) -> FineTuneRun:
    """20 steps of 4 pairs, unless the config says otherwise."""
    recipe = {"epochs": 5, "batch_size": 4, "learning_rate": 1e-2} | config
    return finetuning.open_run(task, releases=[release], base_model=base, config=recipe)


def losses(run: FineTuneRun) -> list[float]:
    return list(run.log.order_by("step").values_list("loss", flat=True))


def test_training_lowers_the_loss_and_its_model_version_can_draft(release, tiny):
    run = open_run(release, tiny)

    version = finetuning.train(run)

    run.refresh_from_db()
    assert (run.state, run.step, run.steps_total, run.pairs) == (JobState.DONE, 20, 20, 16)
    assert list(run.log.order_by("step").values_list("step", flat=True)) == list(range(1, 21))
    assert losses(run)[-1] < 0.7 * losses(run)[0]
    assert version.fine_tune_run == run
    assert version.licence_id == "apache-2.0"
    assert version.revision == hf_local.weights_sha256(Path(version.location))
    assert Path(version.location).name == f"tiny-draft-fi-1-{version.revision[:12]}"
    model = hf_local.load(Source(model=version.location))
    card = ModelCard.load(Path(version.location) / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.language == ["fi"]
    assert "a" * 64 in card.text
    reply = model.generate(
        [prompts.draft("Kala on hyvä.", prompts.PAPER)], sampling=Sampling(max_new_tokens=8), seeds=[1]
    )
    assert reply[0].tokens > 0
    recipe = json.loads((Path(version.location) / "recipe.json").read_text())
    assert recipe["config"]["prompt_version"] == prompts.PAPER
    assert recipe["releases"] == [{"name": "fi-1", "sha256": "a" * 64, "pairs": 16, "licences": ["CC0-1.0"]}]
    assert not results.work_folder(run).exists()


def test_an_answer_model_learns_the_response_from_the_instruction(release, tiny):
    version = finetuning.train(open_run(release, tiny, Task.ANSWER, epochs=1))

    assert version.task == Task.ANSWER
    prompt, reply = lessons.example(Task.ANSWER, release.rows.first().row)
    assert "Describe kala in one sentence. Answer in Finnish." in prompt.plain()
    assert reply.startswith("Meillä on kala")


def test_the_same_seed_gives_the_same_losses_and_another_seed_does_not(release, tiny):
    runs = [open_run(release, tiny, epochs=1), open_run(release, tiny, epochs=1, learning_rate=1.0001e-2)]
    runs.append(open_run(release, tiny, epochs=1, seed=7))
    for run in runs:
        finetuning.train(run)

    first, again, other = (losses(run) for run in runs)
    assert first == pytest.approx(again, abs=1e-3)
    assert first != pytest.approx(other, abs=1e-3)


def test_scoring_the_replies_alone_gives_the_loss_of_trl(release, tiny, monkeypatch):
    ours, theirs = open_run(release, tiny, epochs=1), open_run(release, tiny, epochs=1, max_length=511)
    finetuning.train(ours)
    with monkeypatch.context() as patch:
        patch.setattr(training, "_score_replies_only", lambda model: None)
        finetuning.train(theirs)

    assert losses(ours) == pytest.approx(losses(theirs), abs=1e-3)


def test_loss_is_taken_on_the_reply_and_not_on_the_prompt(tiny, tmp_path, monkeypatch):
    import trl

    seen = {}

    class Looking(trl.SFTTrainer):
        def train(self, *args: Any, **kwargs: Any) -> Any:
            seen["row"] = self.train_dataset[0]
            return super().train(*args, **kwargs)

    monkeypatch.setattr(trl, "SFTTrainer", Looking)
    row = {"instruction": "Describe fish.", "input": "", "response": "Kala ui.", "language": "fi"}
    model, tokenizer = training.load_base(tiny)

    training.fit(
        [row],
        task=Task.DRAFT,
        base=(model, tokenizer),
        method="full",
        config=recipes.DEFAULTS | {"epochs": 1, "learning_rate": 1e-3},
        work=tmp_path,
        watch=training.Watch(),
    )

    learned = [label for label in seen["row"]["labels"] if label != -100]
    assert tokenizer.decode(learned) == "Describe fish.<|endoftext|>"
    prompt = tokenizer(prompts.draft_prompt("Kala ui."))["input_ids"]
    assert seen["row"]["input_ids"][: len(prompt)] == prompt
    assert seen["row"]["labels"][: len(prompt)] == [-100] * len(prompt)


def test_a_long_text_is_shortened_and_its_instruction_is_kept_whole(tiny):
    _, tokenizer = training.load_base(tiny)
    row = {"instruction": "Describe fish.", "input": "", "response": "Kala ui järvessä. " * 200, "language": "fi"}

    [fitted] = lessons.fitted(tokenizer, [lessons.example(Task.DRAFT, row)], 400)

    assert len(tokenizer(fitted["prompt"] + fitted["completion"])["input_ids"]) < 400
    assert fitted["prompt"].endswith("### English Instruction:\n")
    assert fitted["completion"] == "Describe fish."


def test_the_same_recipe_is_the_same_run_and_has_one_result(release, tiny):
    run = open_run(release, tiny, epochs=1)
    version = finetuning.train(run)

    again = open_run(release, tiny, epochs=1)

    assert again == run
    assert finetuning.train(again) == version
    assert open_run(release, tiny, epochs=2) != run
    assert ModelVersion.objects.filter(fine_tune_run__isnull=False).count() == 1


def test_a_stopped_run_ends_at_its_next_step_and_leaves_no_model(release, tiny, settings, monkeypatch):
    monkeypatch.setattr(finetuning, "TELL_SECONDS", 0)
    run = open_run(release, tiny)

    def stop(progress: training.Progress) -> None:
        if progress.step == 3:
            FineTuneRun.objects.get(pk=run.pk).stop()

    with pytest.raises(training.NotOurs):
        finetuning.train(run, on_progress=stop)

    run.refresh_from_db()
    assert run.state == JobState.STOPPED
    assert run.step < 4
    assert not settings.MODELS_DIR.exists()
    assert not ModelVersion.objects.filter(fine_tune_run=run).exists()


def test_what_the_model_makes_of_held_out_pairs_is_measured_on_the_way(release, tiny):
    run = open_run(release, tiny, validation=0.25)

    version = finetuning.train(run)

    run.refresh_from_db()
    assert (run.pairs, run.held_out, run.steps_total) == (16, 4, 15)
    steps = [step for step, _ in run.validation]
    assert (steps[0], steps[-1]) == (0, 15)
    assert steps == sorted(set(steps))
    assert run.validation[-1][1] < run.validation[0][1]
    assert results.read_recipe(version)["validation"] == run.validation
    assert run.log.exclude(tokens_per_second=None).exists()
    assert "validation loss" in run.tail
    assert "step 15 of 15" in run.tail


def test_test_rows_of_a_release_are_not_trained_on_and_its_validation_rows_are_held_out(finnish, tiny):
    splits = [Split.TEST] * 3 + [Split.VALIDATION] * 2
    run = open_run(make_release(finnish, splits), tiny, epochs=1)

    finetuning.train(run)

    run.refresh_from_db()
    learned, held_out = lessons.split(lessons.rows_of(run), 0.1, 0)
    assert {row["pair"] for row in held_out} == {"pair3", "pair4"}
    assert {row["pair"] for row in learned} == {f"pair{number}" for number in range(5, 16)}
    assert (run.held_out, run.steps_total) == (2, 3)


def test_pairs_that_are_packed_see_only_themselves(release, tiny):
    packed, padded = (
        open_run(release, tiny, epochs=1, batch_size=size, packing=packing, order="sequential", validation=0.25)
        for size, packing in ((16, True), (16, False))
    )
    finetuning.train(packed)
    finetuning.train(padded)

    for run in (packed, padded):
        run.refresh_from_db()
    assert packed.step == 1
    assert losses(packed) == pytest.approx(losses(padded), abs=1e-3)
    assert [loss for _, loss in packed.validation] == pytest.approx([loss for _, loss in padded.validation], abs=1e-3)


def test_bf16_is_for_the_cpu_too_and_fp16_is_not(release, tiny):
    import torch

    run = open_run(release, tiny, epochs=1, precision="bf16")
    assert results.read_recipe(finetuning.train(run))["precision"] == "bf16"
    if not torch.cuda.is_available():
        with pytest.raises(recipes.TrainingError, match="fp16 needs a GPU"):
            finetuning.train(open_run(release, tiny, precision="fp16"))


def test_a_longer_pair_than_the_model_reads_is_refused(release, tiny):
    with pytest.raises(recipes.TrainingError, match="reads 512 tokens at most"):
        finetuning.train(open_run(release, tiny, max_length=513))


@pytest.mark.parametrize(
    "words",
    [{"precision": "int4"}, {"validation": 0.9}, {"batch_size": 1.5}, {"weights": {"fi-1": 0}}, {"weights": {"x": 2}}],
)
def test_a_recipe_that_cannot_be_is_refused_when_it_is_asked_for(release, tiny, words):
    with pytest.raises(recipes.TrainingError):
        open_run(release, tiny, **words)


def test_training_does_not_begin_where_its_checkpoints_would_fill_the_disk(release, tiny, monkeypatch):
    monkeypatch.setattr(footprint.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    run = open_run(release, tiny)

    with pytest.raises(recipes.TrainingError, match="Too little disk"):
        finetuning.train(run)

    run.refresh_from_db()
    assert run.state == JobState.FAILED
    assert "free" in run.error


def test_a_cancelled_run_keeps_a_checkpoint_and_goes_on_from_there(release, tiny, monkeypatch):
    monkeypatch.setattr(finetuning, "TELL_SECONDS", 0)
    run = open_run(release, tiny)
    steps: list[int] = []

    def stop(progress: training.Progress) -> None:
        if progress.step == 7:
            FineTuneRun.objects.get(pk=run.pk).stop()

    with pytest.raises(training.NotOurs):
        finetuning.train(run, on_progress=stop)
    run.refresh_from_db()
    finetuning.try_again(run)
    finetuning.train(run, on_progress=lambda progress: steps.append(progress.step))

    assert steps == list(range(8, 21))
    assert list(run.log.order_by("step").values_list("step", flat=True)) == list(range(1, 21))


def test_the_job_takes_the_run_that_is_first_in_line(release, tiny):
    first, second = open_run(release, tiny, epochs=1), open_run(release, tiny, epochs=1, seed=1)
    second.move_to_front()

    jobs.train_run(first.pk)

    assert [FineTuneRun.objects.get(pk=run.pk).state for run in (first, second)] == [JobState.QUEUED, JobState.DONE]


def test_a_model_whose_weights_alone_are_too_large_for_the_machine_is_not_begun_with(release, tiny, monkeypatch):
    monkeypatch.setattr(training, "device_memory", lambda: ("this machine", 100_000))

    with pytest.raises(recipes.TrainingError, match=r"this machine has 0\.1 MB"):
        finetuning.train(open_run(release, tiny))


class Killed(BaseException):
    """The worker is gone, at once."""


def test_a_killed_run_goes_on_from_its_checkpoint_to_the_result_it_would_have_had(release, tiny, settings, monkeypatch):
    monkeypatch.setattr(finetuning, "TELL_SECONDS", 3600)  # the log comes with the checkpoints
    settings.CHECKPOINT_SECONDS = 0
    whole = open_run(release, tiny)
    undisturbed = finetuning.train(whole)
    expected = losses(whole)
    shutil.rmtree(undisturbed.location)
    undisturbed.delete()
    whole.log.all().delete()
    FineTuneRun.objects.filter(pk=whole.pk).update(state=JobState.QUEUED)
    steps: list[int] = []

    def kill(progress: training.Progress) -> None:
        if progress.step == 12:
            raise Killed

    monkeypatch.setattr(finetuning, "_close", lambda *args, **kwargs: None)  # a killed process says nothing
    with pytest.raises(Killed):
        finetuning.train(FineTuneRun.objects.get(pk=whole.pk), on_progress=kill)
    assert FineTuneRun.objects.get(pk=whole.pk).state == JobState.RUNNING
    with pytest.raises(training.NotOurs):  # not yet given up for dead
        finetuning.train(FineTuneRun.objects.get(pk=whole.pk))
    FineTuneRun.objects.filter(pk=whole.pk).update(heartbeat_at="2001-01-01T00:00Z")
    version = finetuning.train(FineTuneRun.objects.get(pk=whole.pk), on_progress=lambda now: steps.append(now.step))

    assert steps[0] > 1  # it did not start over
    assert losses(whole) == pytest.approx(expected, abs=1e-3)
    assert ModelVersion.objects.filter(fine_tune_run=whole).get() == version


def test_a_worker_killed_before_it_could_say_so_leaves_a_model_that_is_taken_up(release, tiny, settings, monkeypatch):
    run = open_run(release, tiny, epochs=1)

    def kill(*args: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(finetuning, "_record", kill)
        patch.setattr(finetuning, "_close", lambda *args, **kwargs: None)
        with pytest.raises(Killed):
            finetuning.train(run)
    FineTuneRun.objects.filter(pk=run.pk).update(heartbeat_at="2001-01-01T00:00Z")
    [folder] = settings.MODELS_DIR.iterdir()
    written = (folder / "model.safetensors").stat().st_mtime_ns

    version = finetuning.train(FineTuneRun.objects.get(pk=run.pk))

    assert Path(version.location) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    assert list(settings.MODELS_DIR.iterdir()) == [folder]


def test_a_worker_killed_while_it_writes_leaves_nothing_under_a_final_name(release, tiny, settings, monkeypatch):
    run = open_run(release, tiny, epochs=1)

    def kill(*args: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(results, "flush", kill)
        patch.setattr(finetuning, "_close", lambda *args, **kwargs: None)
        with pytest.raises(Killed):
            finetuning.train(run)
    assert list(settings.MODELS_DIR.iterdir()) == []
    FineTuneRun.objects.filter(pk=run.pk).update(heartbeat_at="2001-01-01T00:00Z")

    version = finetuning.train(FineTuneRun.objects.get(pk=run.pk))

    assert [str(folder) for folder in settings.MODELS_DIR.iterdir()] == [version.location]
    assert version.revision == hf_local.weights_sha256(Path(version.location))


def test_a_missing_base_model_is_said_on_the_row_and_the_run_can_be_tried_again(release):
    run = open_run(release, make_model_version(name="gone", location="/nowhere/at/all"))

    jobs.train_run(run.pk)

    run.refresh_from_db()
    assert run.state == JobState.FAILED
    assert "'gone' cannot be loaded" in run.error
    finetuning.try_again(run)
    assert run.state == JobState.QUEUED


def test_running_out_of_memory_is_said_on_the_row_with_what_helps(release, tiny, monkeypatch):
    import torch

    def burst(*args: Any, **kwargs: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(training, "fit", burst)
    run = open_run(release, tiny)

    with pytest.raises(recipes.TrainingError, match="Out of memory"):
        finetuning.train(run)

    run.refresh_from_db()
    assert run.state == JobState.FAILED
    assert "Batch size 4 and max length 512 with all weights" in run.error
    assert "Less is needed with batch size 2 with accumulate 2 times as large" in run.error
    assert "the method lora" in run.error


def test_the_job_trains_the_row_and_survives_that_it_is_gone(release, tiny):
    run = open_run(release, tiny, epochs=1)

    jobs.train_run(run.pk)
    jobs.train_run(run.pk)
    jobs.train_run(run.pk + 1)

    run.refresh_from_db()
    assert run.state == JobState.DONE
    assert run.model_version.task == Task.DRAFT


def test_two_recipes_that_come_to_the_same_weights_have_a_result_each(release, tiny):
    one, other = open_run(release, tiny, epochs=1), open_run(release, tiny, epochs=1, beta=0.2)  # no preferences here

    versions = [finetuning.train(run) for run in (one, other)]

    assert versions[0].revision == versions[1].revision
    assert [version.fine_tune_run for version in versions] == [one, other]
    assert versions[0].location != versions[1].location


def test_lora_gives_a_whole_model_as_well(release, tiny):
    run = finetuning.open_run(
        Task.DRAFT,
        releases=[release],
        base_model=tiny,
        method="lora",
        config={"epochs": 5, "batch_size": 4, "learning_rate": 2e-2},
    )

    version = finetuning.train(run)

    assert losses(run)[-1] < losses(run)[0]
    assert (Path(version.location) / "model.safetensors").exists()
    assert version.revision != tiny.revision


@pytest.fixture
def seed_pairs(finnish) -> list[SeedPair]:
    """16 verified ones."""
    return [
        SeedPair.objects.create(
            language=finnish,
            instruction=f"Describe {word}.",
            response=f"{word} on hyvä.",
            sha256=hashlib.sha256(word.encode()).hexdigest(),
            licence_id="CC0-1.0",
            state=SeedState.VERIFIED,
            verified_at=timezone.now(),
        )
        for word in WORDS
    ]


def test_only_verified_seeds_train_unless_asked_otherwise(seed_pairs, tiny, capsys):
    SeedPair.objects.filter(pk=seed_pairs[0].pk).update(state=SeedState.REJECTED)
    SeedPair.objects.filter(pk__in=[pair.pk for pair in seed_pairs[1:12]]).update(state=SeedState.WAITING)
    arguments = ["finetune", "seeds:fi", "--task", "draft", "--base-model", tiny.location, "--epochs", "1"]

    call_command(*arguments)
    call_command(*arguments, "--unverified")

    assert list(FineTuneRun.objects.order_by("pk").values_list("pairs", flat=True)) == [4, 15]
    SeedPair.objects.update(state=SeedState.WAITING)
    with pytest.raises(CommandError, match="No seed pair of these languages is verified yet"):
        call_command(*arguments)


def test_run_whose_seeds_were_corrected_before_it_began_is_another_run(seed_pairs, finnish, tiny):
    def ask() -> FineTuneRun:
        return finetuning.open_run(Task.DRAFT, seeds=["fi"], base_model=tiny, config={"epochs": 1})

    run = ask()
    seed_pairs[0].decide(
        SeedState.VERIFIED, make_user("l@example.org", finnish), instruction="Tell of fish.", response="Kala."
    )

    with pytest.raises(recipes.TrainingError, match="seed pairs have changed"):
        finetuning.train(run)

    assert ask() != run
    assert "Tell of fish." in [row["instruction"] for row in lessons.rows_of(ask())]


def test_the_command_trains_on_seeds_and_called_again_says_what_came_out(seed_pairs, tiny, capsys):
    arguments = ["finetune", "seeds:fi", "--task", "answer", "--base-model", tiny.location, "--epochs", "1"]

    call_command(*arguments)
    printed = capsys.readouterr().out
    call_command(*arguments)

    run = FineTuneRun.objects.get()
    assert run.pairs == 16
    assert run.model_version.public_id in printed
    assert run.model_version.public_id in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "message"),
    [("nothing-1", "no release 'nothing-1'"), ("seeds", "no seed pairs"), ("fi-2", "building, not ready")],
)
def test_the_command_says_which_source_cannot_be_trained_on(finnish, tiny, source, message):
    Release.objects.create(name="fi-2", state=ReleaseState.BUILDING)

    with pytest.raises(CommandError, match=message):
        call_command("finetune", source, "--task", "draft", "--base-model", tiny.location)

    assert not FineTuneRun.objects.exists()


def test_an_empty_release_is_an_error_on_the_row(finnish, tiny):
    release = Release.objects.create(name="fi-3", state=ReleaseState.READY, sha256="b" * 64)
    run = open_run(release, tiny)

    with pytest.raises(recipes.TrainingError, match="Nothing to train on"):
        finetuning.train(run)

    run.refresh_from_db()
    assert (run.state, run.error) == (
        JobState.FAILED,
        "Nothing to train on: the releases and seeds of this run hold no pairs.",
    )


# Evaluators


def test_an_evaluator_is_trained_calibrated_and_scores_at_once(tiny, release, finnish, capsys):
    call_command(
        "finetune", "fi-1", "--task", "score", "--base-model", tiny.public_id, "--epochs", "1", "--max-length", "512"
    )  # fmt: skip
    run = FineTuneRun.objects.get()
    version = run.model_version
    assert (version.task, version.prompt_version) == (Task.SCORE, rubric.LEVELS)
    calibration = calibrating.read(Path(version.location))
    assert (calibration.levels, calibration.good, calibration.learned_from) == (3, 3, "constructed")
    assert calibration.pairs > 0
    assert results.read_recipe(version)["calibration"]["error"] == calibration.error
    assert "constructed levels, 3 of them" in capsys.readouterr().out
    make_candidate(make_text(finnish))

    call_command("score", "--language", "fi", "--backend", "hf", "--model", version.location)
    call_command("score", "--language", "fi", "--model", version.public_id)

    score = Score.objects.get()
    assert score.evaluator == version
    assert 0 < score.raw < 1
    assert score.level is None  # constructed levels are not the rubric


def test_an_evaluator_that_lost_its_calibration_scores_nothing(tiny, release, finnish):
    version = finetuning.train(open_run(release, tiny, Task.SCORE, epochs=1))
    (Path(version.location) / calibrating.FILE).unlink()
    make_candidate(make_text(finnish))

    with pytest.raises(scoring.ScoringError, match="trained evaluators only"):
        scoring.score(finnish, backend="hf", model=version.public_id)


def test_gold_takes_no_part_in_training(tiny, release, finnish):
    row = release.rows.get(position=3)
    gold = Release.objects.create(name="gold", query={"items": "gold"})
    ReleaseRow.objects.create(
        release=gold, position=0, pair_public_id="gold0", language_code="fi", text_sha256=row.text_sha256,
        row=row.row, row_sha256=row.row_sha256,
    )  # fmt: skip
    run = open_run(release, tiny, epochs=1)

    finetuning.train(run)

    run.refresh_from_db()
    assert run.pairs == len(WORDS) - 1


# What to learn from, and how fast


@pytest.fixture
def preferences(finnish) -> Release:
    """16 frozen pairs, each with a draft that lost to it."""
    release = Release.objects.create(name="wanted", query={"kind": "preferences"})
    release.languages.add(finnish)
    for position, word in enumerate(WORDS):
        row = {
            "instruction": f"Describe {word} in one sentence.",
            "input": "",
            "response": f"Meillä on {word}, ja {word} on hyvä.",
            "language": "fi",
            "language_name": "Finnish",
            "licence": "CC0-1.0",
            "rejected": {"instruction": "Write about food.", "input": ""},
        }
        ReleaseRow.objects.create(
            release=release,
            position=position,
            pair_public_id=f"pair{position}",
            language_code="fi",
            text_sha256=f"{position:064x}",
            row=row,
            row_sha256=f"{position:064x}",
        )
    Release.objects.filter(pk=release.pk).update(state=ReleaseState.READY, sha256="c" * 64)
    release.refresh_from_db()
    return release


@pytest.mark.parametrize("method", ["full", "lora"])
def test_preferences_make_the_wanted_instruction_likelier_than_the_lost_draft(preferences, tiny, method):
    run = finetuning.open_run(
        Task.DRAFT,
        releases=[preferences],
        base_model=tiny,
        method=method,
        config={"epochs": 2, "batch_size": 4, "learning_rate": 1e-2},
    )

    version = finetuning.train(run)

    assert run.config["objective"] == "dpo"
    assert losses(run)[0] == pytest.approx(0.693, abs=0.05)  # as likely as the reference finds them
    assert losses(run)[-1] < 0.8 * losses(run)[0]
    row = preferences.rows.first().row
    asked = [prompts.draft(row["response"], prompts.PAPER)] * 2
    said = [row["instruction"], row["rejected"]["instruction"]]
    before, after = (
        hf_local.load(Source(model=model.location)).loglikelihood(asked, said) for model in (tiny, version)
    )
    assert after[0] - after[1] > before[0] - before[1] + 0.1


def test_preferences_are_learned_by_themselves_and_for_drafting_only(preferences, release, seed_pairs, tiny):
    for sources in (
        {"releases": [preferences, release]},
        {"releases": [preferences], "seeds": ["fi"]},
        {"releases": [preferences], "task": Task.ANSWER},
    ):
        with pytest.raises(recipes.TrainingError, match="preferences"):
            finetuning.open_run(sources.pop("task", Task.DRAFT), base_model=tiny, **sources)


def test_learning_rate_follows_method_size_and_objective_unless_it_is_named(release, preferences, tiny):
    def rate(base: ModelVersion, **fields: Any) -> float:
        fields = {"releases": [release], "config": {}} | fields
        return finetuning.open_run(Task.DRAFT, base_model=base, **fields).config["learning_rate"]

    starter = make_model_version(location=hf_local.STARTER, backend="starter")
    large = make_model_version(location="somewhere/on-a-hub")
    assert (rate(starter), rate(tiny), rate(large)) == (1e-3, 1e-3, 1e-5)
    assert (rate(large, method="lora"), rate(starter, method="lora")) == (2e-4, 2e-4)
    assert rate(tiny, releases=[preferences]) == pytest.approx(1e-4)
    assert rate(large, config={"learning_rate": 3e-6}) == 3e-6


def test_prompts_tell_seeds_from_web_texts_where_both_are_learned(release, seed_pairs, tiny, finnish):
    mixed = finetuning.open_run(Task.DRAFT, releases=[release], seeds=["fi"], base_model=tiny)
    alone = finetuning.open_run(Task.DRAFT, releases=[release], base_model=tiny)

    asked = [lessons.example(Task.DRAFT, row, tags=True)[0].plain() for row in lessons.rows_of(mixed)]
    assert sum("found on the web" in each for each in asked) == 16
    assert sum("written as an answer" in each for each in asked) == 16
    answers = [lessons.example(Task.ANSWER, row, tags=True)[0].plain() for row in lessons.rows_of(mixed)]
    assert sum("and the style of an AI assistant." in each for each in answers) == 16
    assert (mixed.config["prompt_version"], alone.config["prompt_version"]) == ("paper-2", "paper-1")
    ModelVersion.objects.filter(pk=tiny.pk).update(fine_tune_run=mixed)
    version, identity = loading.model_version("hf", tiny.location)
    assert asking.version_for(version, identity) == "paper-2"
