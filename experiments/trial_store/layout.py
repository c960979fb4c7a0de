"""Where data, trials and results lie."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

from experiments.trial_store.folders import TrialStore
from experiments.trial_store.local_copies import bring_data, copy_of, is_uri
from experiments.trial_store.object_store import open_store

SEARCH = "search"


@dataclass(frozen=True)
class Layout:
    """Where things lie; paths are relative to the folder that the commands are run in.

    Data or trial store may be at a URI: then `data` or `store` is this machine's copy of it.
    """

    data: Path = Path("data")
    store: Path = Path("experiments/store")
    results: Path = Path("experiments/results.csv")
    averaging: Path = Path("experiments/averaging.csv")
    subsets: Path = Path("experiments/subsets.csv")
    gallery: Path = Path("experiments/gallery")
    evidence: Path = Path("experiments/evidence/search")
    data_uri: str = ""
    store_uri: str = ""

    @classmethod
    def at(cls, data: str, store: str) -> Layout:
        """The layout with data and trial store where they are said to be, by path or URI."""
        return cls(
            data=copy_of(data.rstrip("/")) if is_uri(data) else Path(data),
            store=cls.store if is_uri(store) else Path(store),
            data_uri=data.rstrip("/") if is_uri(data) else "",
            store_uri=store.rstrip("/") if is_uri(store) else "",
        )

    def absolute(self) -> Layout:
        """The same places, for a process that may work in another folder."""
        paths = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: path.absolute() for name, path in paths.items() if isinstance(path, Path)})

    def of_worker(self) -> Layout:
        """An absolute layout as a worker process sees it, which may be on another machine: with that one's copies."""
        data = copy_of(self.data_uri) if self.data_uri else self.data
        store = copy_of(self.store_uri) if self.store_uri else self.store
        return replace(self, data=data, store=store)

    def bring(self, dataset: str) -> None:
        """Brings a dataset here that lies at a URI. UserError where that cannot be."""
        if self.data_uri:
            bring_data(dataset, self.data_uri)

    @property
    def trial_store(self) -> TrialStore:
        """All trials ever run."""
        return open_store(self.store, self.store_uri)

    @property
    def searches(self) -> Path:
        """What searches have tried: a trial store of their own, since their trials never read the test part."""
        return self.store / SEARCH

    @property
    def search_store(self) -> TrialStore:
        """All trials that searches ever ran."""
        return open_store(self.searches, self.store_uri and f"{self.store_uri}/{SEARCH}")

    def processed(self, dataset: str) -> Path:
        return self.data / "processed" / dataset

    def splits(self, dataset: str) -> Path:
        return self.data / "splits" / dataset
