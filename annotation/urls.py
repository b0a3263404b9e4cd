"""Addresses of the human half."""

from django.urls import path

from annotation.views import fast, home, languages, releases, review

urlpatterns = [
    path("", home.home, name="home"),
    path("languages/<slug:code>/", languages.language, name="language"),
    path("review/sender", review.sender, name="sender"),
    path("review/<slug:code>/", review.review, name="review"),
    path("review/<slug:code>/undo/<uuid:review_id>", review.undo, name="undo"),
    path("review/<slug:code>/fast/", fast.fast, name="fast"),
    path("review/<slug:code>/<slug:public_id>/", review.review_item, name="review_item"),
    path("review/<slug:code>/<slug:public_id>/autosave", review.autosave, name="autosave"),
    path("review/<slug:code>/<slug:public_id>/skip", review.skip, name="skip"),
    path("releases/", releases.releases, name="releases"),
    path("releases/<slug:public_id>/", releases.release, name="release"),
    path("releases/<slug:public_id>/manifest.json", releases.download_manifest, name="download_manifest"),
    path("releases/<slug:public_id>/<slug:format>/", releases.download_release, name="download_release"),
]
