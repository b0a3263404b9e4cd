"""What machines do: texts in, drafts, scores, selection; releases out, models trained."""
