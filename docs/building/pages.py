"""Pages of the site that are made from something else: README, notebooks, public names, JSON Schemas.

Hooks of MkDocs, named in mkdocs.yml. The same Markdown is read on the code host, so links stay those of the repository
there and are turned here into those of the site.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

import bbsmooth

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OF_THE_ROOT = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.DOTALL | re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages that mkdocs.yml does not name to its `nav`, so that no page is left out."""
    nav = config.nav or []
    named = set(re.findall(r"[\w/-]+\.md", json.dumps(nav)))
    more = sorted({path.name for path in DOCS.glob("*.md")} - named)
    about = [name for name in OF_THE_ROOT.values() if name not in named]
    config.nav = [*nav, *([{"More": more}] if more else []), {"Project": about}]
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    for source, page in OF_THE_ROOT.items():
        files.append(File.generated(config, page, content=_on_the_site((ROOT / source).read_text())))
    for path in sorted(DOCS.glob("notebooks/*.ipynb")):
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=notebook_page(path)))
    files.append(File.generated(config, "reference.md", content=reference_page()))
    files.append(File.generated(config, "schemas.md", content=schemas_page()))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Turn links from docs/ to files above it into links of the site."""
    if "/" in page.file.src_uri:  # `../` leads to docs/ there
        return markdown
    return _relinked(markdown, lambda target: _moved(target[3:]) if target.startswith("../") else target)


def _on_the_site(markdown: str) -> str:
    """The text of a file of the repository's root with its links as the site has them."""
    return _relinked(markdown, _moved)


def _relinked(markdown: str, change: Any) -> str:
    """The text with the targets of its links changed; code is left alone."""
    parts = _CODE.split(markdown)
    parts[::2] = [_LINK.sub(lambda found: f"]({change(found[1])})", part) for part in parts[::2]]
    return "".join(parts)


def _moved(target: str) -> str:
    """Where the site has what a path from the repository's root leads to."""
    path, mark, anchor = target.partition("#")
    return OF_THE_ROOT.get(path, path.removeprefix("docs/")) + mark + anchor


def notebook_page(path: Path) -> str:
    """A notebook with its outputs as Markdown."""
    notebook = nbformat.read(path, as_version=4)
    exporter = MarkdownExporter(exclude_input_prompt=True, exclude_output_prompt=True)
    text, _ = exporter.from_notebook_node(notebook)
    return str(text)


def reference_page() -> str:
    """All public names, each where it is defined: the package itself imports them on first use."""
    classes: list[str] = []
    functions: list[str] = []
    errors: list[str] = []
    for name in sorted(bbsmooth.__all__):
        found = getattr(bbsmooth, name)
        kind = functions if not isinstance(found, type) else errors if issubclass(found, Exception) else classes
        kind.append(f"::: {found.__module__}.{found.__qualname__}")
    parts = ["# Reference\n\nAll names of `import bbsmooth as bb`."]
    for title, kind in (("Functions", functions), ("Classes", classes), ("Errors", errors)):
        parts += [f"## {title}", *kind]
    return "\n\n".join(parts) + "\n"


def schemas_page() -> str:
    """The JSON Schemas of the files in a run directory."""
    parts = [
        "# Files of a run",
        "A JSON Schema for each file of a run directory, and for each line of a file of lines. Fields that a later"
        " version adds are kept.",
    ]
    for path in sorted(DOCS.glob("schemas/*.json")):
        schema = json.loads(path.read_text())
        body = json.dumps(schema, indent=2, ensure_ascii=False)
        parts += [
            f"## {schema['title']}",
            str(schema.get("description", "")),
            f"[{path.name}](schemas/{path.name})",
            '??? note "Schema"\n\n' + "\n".join(f"    {line}" for line in ["```json", *body.split("\n"), "```"]),
        ]
    return "\n\n".join(part for part in parts if part) + "\n"
