"""The lowest app: users, languages, who may do what in which language, invitations, agreements, and the event log."""
