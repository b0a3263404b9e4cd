"""People's work in Django's admin: to look at. Reviews and verdicts come about on the pages and nowhere else."""

from django.contrib import admin

from annotation.models import Autosave, Item, Pair, Review, Skip, Slot
from xinstruct_site.people.admin import AppendOnlyAdmin


@admin.register(Item)
class ItemAdmin(AppendOnlyAdmin):
    list_display = ["public_id", "language", "kind", "state", "overlap", "quorum", "created_at", "decided_at"]
    list_filter = ["language", "state", "kind"]
    list_select_related = ["language"]
    raw_id_fields = ["text", "round"]
    search_fields = ["public_id"]


@admin.register(Slot)
class SlotAdmin(AppendOnlyAdmin):
    list_display = ["item", "number", "language", "state", "holder", "lease_expires_at", "priority"]
    list_filter = ["language", "state"]
    list_select_related = ["item", "language", "holder"]
    raw_id_fields = ["item", "holder"]


@admin.register(Review)
class ReviewAdmin(AppendOnlyAdmin):
    list_display = ["id", "item", "reviewer", "decision", "overall", "submitted_at", "withdrawn_at"]
    list_filter = ["decision", "item__language"]
    list_select_related = ["item", "reviewer"]
    raw_id_fields = ["item", "slot", "reviewer", "candidate"]
    date_hierarchy = "submitted_at"


@admin.register(Pair)
class PairAdmin(AppendOnlyAdmin):
    list_display = ["public_id", "item", "state", "is_current", "origin", "created_at"]
    list_filter = ["state", "is_current", "item__language"]
    list_select_related = ["item"]
    raw_id_fields = ["item", "candidate"]
    search_fields = ["public_id"]


@admin.register(Skip)
class SkipAdmin(AppendOnlyAdmin):
    list_display = ["item", "user", "at"]
    list_select_related = ["item", "user"]


@admin.register(Autosave)
class AutosaveAdmin(AppendOnlyAdmin):
    list_display = ["item", "user", "version", "saved_at"]
    list_select_related = ["item", "user"]
