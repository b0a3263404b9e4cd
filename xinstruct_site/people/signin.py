"""One-time sign-in links, for the demo and for people who lost their password. A link dies with its first use.

Opening the link only shows a button: previews of mail and chat programs fetch links, and must not use them up.
"""

from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.urls import reverse

from xinstruct_site.people.models import User


class SignInTokens(PasswordResetTokenGenerator):
    """Tokens that end with the next sign-in, a new password, a new address, or PASSWORD_RESET_TIMEOUT."""

    key_salt = "xinstruct_site.people.signin.SignInTokens"

    def _make_hash_value(self, user: User, timestamp: int) -> str:
        # Django drops the microseconds of last_login; with them, a link made and used within one second dies too.
        return f"{super()._make_hash_value(user, timestamp)}{user.last_login and user.last_login.isoformat()}"


tokens = SignInTokens()


def sign_in_link(user: User, base_url: str) -> str:
    """The full address that signs this person in once."""
    return base_url.rstrip("/") + reverse("sign_in_link", args=[user.public_id, tokens.make_token(user)])
