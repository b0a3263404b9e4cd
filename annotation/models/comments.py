"""What people ask and say about items, beside their reviews."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from annotation.models.items import Item
from generation.models import public_id_field
from xinstruct_site.people.models import User


class Comment(models.Model):
    """A question or remark on an item, or an answer to one: those of one thread name the first as their thread."""

    public_id = public_id_field()
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="comments")
    thread = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True, related_name="answers")
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="comments")
    body = models.TextField(_("question or remark"))
    at = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(null=True, blank=True, help_text="Of a thread.")
    resolved_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    hidden_at = models.DateTimeField(null=True, blank=True, help_text="Its words are shown to who leads only.")
    hidden_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        verbose_name = _("comment")
        verbose_name_plural = _("comments")
        indexes = [
            models.Index(fields=["author", "-at"], name="comment_by_author"),
            models.Index(fields=["-at", "-id"], condition=Q(thread=None), name="thread_by_age"),
        ]

    def __str__(self) -> str:
        return f"comment {self.public_id}"


class ThreadSeen(models.Model):
    """When a person last had a thread before them: what was said since is news to them."""

    thread = models.ForeignKey(Comment, on_delete=models.CASCADE, related_name="seen")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["thread", "user"], name="one_last_look_at_a_thread")]

    def __str__(self) -> str:
        return f"{self.user} saw thread {self.thread_id}"
