"""The varieties and orthographies of a language, as its lead lists them."""

from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from xinstruct_site.people.models.languages import Language
from xinstruct_site.people.models.users import User


class VarietyKind(models.TextChoices):
    """The names are those of the columns that say it of texts, pairs and memberships."""

    VARIETY = "variety", _("Variety: region, dialect or register")
    ORTHOGRAPHY = "orthography", _("Orthography: script or way of spelling")


class Variety(models.Model):
    """A variety or an orthography that a language's lead keeps on its list, for people to choose from."""

    language = models.ForeignKey(Language, on_delete=models.CASCADE, related_name="varieties")
    kind = models.CharField(_("kind"), max_length=11, choices=VarietyKind, default=VarietyKind.VARIETY)
    name = models.CharField(_("name"), max_length=80)
    tag = models.CharField(_("BCP 47 tag"), max_length=35, blank=True)
    added_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    retired_at = models.DateTimeField(null=True, blank=True, help_text="What carries it stays as it is.")

    class Meta:
        ordering = ["-kind", "name"]
        verbose_name = _("variety")
        verbose_name_plural = _("varieties")
        constraints = [
            models.UniqueConstraint("language", "kind", Lower("name"), name="one_entry_per_name_of_a_variety")
        ]

    def __str__(self) -> str:
        return self.name
