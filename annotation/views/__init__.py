"""Pages of the human half: home, review, languages, releases. Thin: fetch, form, act, respond."""
