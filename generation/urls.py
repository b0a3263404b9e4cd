"""Addresses of the machine half's pages."""

from django.urls import path

from generation.views import evaluators, finetunes, gates, rounds, runs, seeds, texts

urlpatterns = [
    path("texts/", texts.texts, name="texts"),
    path("texts/import/", texts.import_texts, name="import_texts"),
    path("texts/import/<slug:public_id>/stop/", texts.stop_upload, name="stop_upload"),
    path("texts/import/<slug:public_id>/rejected/", texts.rejected_rows, name="rejected_rows"),
    path("texts/<slug:public_id>/", texts.text, name="text"),
    path("runs/", runs.runs, name="runs"),
    path("runs/<slug:public_id>/", runs.run, name="run"),
    path("runs/<slug:public_id>/stop/", runs.stop_run, name="stop_run"),
    path("runs/<slug:public_id>/pause/", runs.pause_run, name="pause_run"),
    path("runs/<slug:public_id>/resume/", runs.resume_run, name="resume_run"),
    path("runs/<slug:public_id>/rows/<slug:at>/", runs.run_rows, name="run_rows"),
    path("runs/<slug:public_id>/compare/", runs.compare_runs, name="compare_runs"),
    path("runs/<slug:public_id>/continue/", runs.continue_run, name="continue_run"),
    path("runs/<slug:public_id>/score/", runs.score_run, name="score_run"),
    path("rounds/<slug:code>/<int:number>/", rounds.round_report, name="round"),
    path("rounds/<slug:code>/<int:number>/passed-over/", rounds.passed_over, name="passed_over"),
    path("gates/<slug:code>/", gates.gates, name="gates"),
    path("gates/<slug:code>/judge/", gates.judge_gate, name="judge_gate"),
    path("gates/<slug:code>/<slug:gate>/", gates.gate_samples, name="gate_samples"),
    path("gates/<slug:code>/<slug:gate>/<slug:reason>/", gates.gate_samples, name="gate_samples"),
    path("seeds/", seeds.languages, name="seeds"),
    path("seeds/<slug:code>/", seeds.seeds, name="seeds_of"),
    path("seeds/<slug:code>/next/", seeds.next_seed, name="next_seed"),
    path("seeds/<slug:code>/<int:pk>/", seeds.seed, name="seed"),
    path("evaluators/", evaluators.evaluators, name="evaluators"),
    path("evaluators/<slug:public_id>/", evaluators.evaluator, name="evaluator"),
    path("evaluators/<slug:public_id>/measure/", evaluators.measure, name="measure"),
    path("finetunes/", finetunes.finetunes, name="finetunes"),
    path("finetunes/<slug:public_id>/", finetunes.finetune, name="finetune"),
    path("finetunes/<slug:public_id>/cancel/", finetunes.cancel_finetune, name="cancel_finetune"),
    path("finetunes/<slug:public_id>/move/", finetunes.move_finetune, name="move_finetune"),
    path("finetunes/<slug:public_id>/continue/", finetunes.continue_finetune, name="continue_finetune"),
]
