"""Static files under names that change with their content, those that our scripts import from each other included."""

from whitenoise.storage import CompressedManifestStaticFilesStorage  # type: ignore[import-untyped]

IMPORTS = (r'(?P<matched>from "(?P<url>\.[^"]+)";)', 'from "%(url)s";')


class ModuleStorage(CompressedManifestStaticFilesStorage):
    """A browser must never run yesterday's module beside today's. Ours only: others import files that are not there."""

    patterns = (*CompressedManifestStaticFilesStorage.patterns, ("js/*.js", (IMPORTS,)))
