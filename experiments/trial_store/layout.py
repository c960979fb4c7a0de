"""Where data, trials and results are kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from experiments.trial_store.folders import TrialStore
from experiments.trial_store.local_copies import bring_data, copy_of, is_uri
from experiments.trial_store.object_store import open_store

SEARCH = "search"


@dataclass(frozen=True)
class Layout:
    """The places of everything that trials read and write.

    Attributes:
        data: the folder with prepared images and splits.
        store: the folder of the trial store.
        data_uri: a URI that `data` is this machine's copy of; empty where there is none.
        store_uri: a URI that `store` is this machine's copy of; empty where there is none.
        lease: the id under which a sweep holds the objects at `store_uri`, for its workers; empty where none does.
    """

    data: Path = Path("data")
    store: Path = Path("experiments/store")
    data_uri: str = ""
    store_uri: str = ""
    lease: str = ""
    # What a sweep or a search writes beside the trial store, in the folder that the command runs in.
    results: ClassVar[Path] = Path("experiments/results.csv")  # one row for each trial
    averaging: ClassVar[Path] = Path("experiments/averaging.csv")  # test scores by number of codes averaged over
    subsets: ClassVar[Path] = Path("experiments/subsets.csv")  # scores of captions on subsets of the test images
    predictions: ClassVar[Path] = Path("experiments/predictions.csv.gz")  # of each test image, by each trial
    gallery: ClassVar[Path] = Path("experiments/gallery")  # pictures that the report shows
    evidence: ClassVar[Path] = Path("experiments/evidence/search")  # what searches have found

    @classmethod
    def at(cls, data: str, store: str) -> Layout:
        """Returns the layout with data and trial store at the given paths or URIs."""
        return cls(
            data=copy_of(data.rstrip("/")) if is_uri(data) else Path(data),
            store=cls.store if is_uri(store) else Path(store),
            data_uri=data.rstrip("/") if is_uri(data) else "",
            store_uri=store.rstrip("/") if is_uri(store) else "",
        )

    def absolute(self) -> Layout:
        """Returns the same data and trial store for a process that may work in another folder."""
        return replace(self, data=self.data.absolute(), store=self.store.absolute())

    def of_worker(self) -> Layout:
        """Returns an absolute layout as a worker process sees it: on its own machine, with that machine's copies."""
        data = copy_of(self.data_uri) if self.data_uri else self.data
        store = copy_of(self.store_uri) if self.store_uri else self.store
        return replace(self, data=data, store=store)

    def bring(self, dataset: str) -> None:
        """Copies a dataset to this machine, if the data is at a URI. UserError where that fails."""
        if self.data_uri:
            bring_data(dataset, self.data_uri)

    @property
    def trial_store(self) -> TrialStore:
        """All trials ever run."""
        return open_store(self.store, self.store_uri, self.lease)

    @property
    def searches(self) -> Path:
        """The folder of the searches' own trial store: their trials never read the test part."""
        return self.store / SEARCH

    @property
    def search_store(self) -> TrialStore:
        """All trials that searches have run."""
        return open_store(self.searches, self.store_uri and f"{self.store_uri}/{SEARCH}", self.lease)

    def processed(self, dataset: str) -> Path:
        """Returns the folder of a dataset's prepared images."""
        return self.data / "processed" / dataset

    def splits(self, dataset: str) -> Path:
        """Returns the folder of a dataset's splits."""
        return self.data / "splits" / dataset
