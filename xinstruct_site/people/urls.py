"""Addresses under /account/ that allauth does not have."""

from django.urls import path

from xinstruct_site.people import views

urlpatterns = [
    path("", views.profile, name="profile"),
    path("demographics/", views.demographics, name="demographics"),
    path("agreement/", views.agreement, name="agreement"),
    path("agreement/newer/", views.newer_agreement, name="newer_agreement"),
    path("interface-language/", views.interface_language, name="interface_language"),
    path("tokens/", views.tokens, name="tokens"),
    path("tokens/<int:pk>/revoke/", views.revoke_token, name="revoke_token"),
    path("invitation/<str:token>/", views.invitation, name="invitation"),
    path("sign-in/<slug:public_id>/<str:token>/", views.sign_in_link, name="sign_in_link"),
]
