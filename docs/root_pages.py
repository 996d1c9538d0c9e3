"""A hook of mkdocs: pages of the site that stand beside docs/, and pages that fetch nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
SHIM = "https://unpkg.com/iframe-worker/shim"  # what the theme's search fetches where pages lie on a disk
WORKER = "worker_on_disk.js"  # does the same
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add README, CONTRIBUTING and CHANGELOG."""
    from mkdocs.structure.files import File

    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=in_site((ROOT / name).read_text())))
    return files


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Take the search's worker from the site itself."""
    return output.replace(SHIM, "../" * page.url.count("/") + WORKER)


def on_post_template(output_content: str, template_name: str, config: MkDocsConfig) -> str:
    """Take it from there in pages that are no one's text too, such as 404.html, which lie at the top."""
    return output_content.replace(SHIM, WORKER)


def in_site(text: str) -> str:
    """Return a page of the root as one of docs/."""
    text = text.replace("](docs/", "](")
    for name, page in PAGES.items():
        text = text.replace(f"]({name})", f"]({page})")
    return text
