"""People in Django's admin. What is append-only can be looked at and not changed."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from xinstruct_site.people.models import (
    Acceptance,
    ContributorAgreement,
    Event,
    GuidelinesVersion,
    Invitation,
    Language,
    Membership,
    User,
)


class AppendOnlyAdmin(admin.ModelAdmin):
    """To look at: these rows are facts, and nothing but their own activity writes them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False


class MembershipInline(admin.TabularInline):
    model = Membership
    fk_name = "user"
    raw_id_fields = ["granted_by"]
    extra = 0


@admin.register(User)
class PersonAdmin(UserAdmin):
    ordering = ["email"]
    list_display = ["email", "display_name", "is_active", "is_staff", "last_login"]
    list_filter = ["is_active", "is_staff", "memberships__role"]
    search_fields = ["email", "display_name", "public_id"]
    inlines = [MembershipInline]
    readonly_fields = ["public_id", "last_login", "date_joined"]
    fieldsets = [
        (None, {"fields": ["email", "password", "display_name", "interface_language", "public_id"]}),
        (_("Credit"), {"fields": ["credit", "credited_as"]}),
        (_("Permissions"), {"fields": ["is_active", "is_staff", "is_superuser"]}),
        (_("Important dates"), {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [(None, {"classes": ["wide"], "fields": ["email", "usable_password", "password1", "password2"]})]
    filter_horizontal = ()


@admin.register(Language)
class LanguageAdmin(admin.ModelAdmin):
    list_display = ["code", "name", "own_name", "script", "direction", "overlap", "quorum", "goal"]
    # The policy has a page of its own, which keeps versions.
    exclude = ["overlap", "quorum", "policy_version", "recheck_days", "linguists_only"]
    search_fields = ["code", "name", "own_name"]
    # Written on the language's page, which keeps every version and tells people of the change.
    readonly_fields = ["guidelines", "guidelines_language", "guidelines_version"]


@admin.register(GuidelinesVersion)
class GuidelinesVersionAdmin(AppendOnlyAdmin):
    list_display = ["language", "version", "note", "author", "at"]
    list_filter = ["language"]
    list_select_related = ["language", "author"]


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin):
    list_display = ["user", "role", "language", "granted_by", "granted_at"]
    list_filter = ["role", "language"]
    list_select_related = ["user", "language", "granted_by"]
    raw_id_fields = ["user", "granted_by"]
    search_fields = ["user__email", "user__display_name"]


@admin.register(Invitation)
class InvitationAdmin(AppendOnlyAdmin):
    list_display = ["email", "role", "language", "created_at", "expires_at", "used_at", "withdrawn_at"]
    list_filter = ["role", "language"]
    list_select_related = ["language"]
    search_fields = ["email"]


@admin.register(ContributorAgreement)
class ContributorAgreementAdmin(admin.ModelAdmin):
    """A new version may be added; a published one stays as people accepted it."""

    list_display = ["version", "licence_id", "published_at"]

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False


@admin.register(Acceptance)
class AcceptanceAdmin(AppendOnlyAdmin):
    list_display = ["user", "agreement", "accepted_at"]
    list_select_related = ["user", "agreement"]


@admin.register(Event)
class EventAdmin(AppendOnlyAdmin):
    list_display = ["at", "kind", "actor", "language", "subject_type", "subject_id"]
    list_filter = ["kind", "language"]
    list_select_related = ["actor", "language"]
    date_hierarchy = "at"
    show_full_result_count = False
