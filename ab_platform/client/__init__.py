"""The online service's client: ask for arms and slates, send what users saw and did. It needs httpx alone.

with Client("https://ab.example.org", token) as client:
    slate = client.recommend("42", "home_card")
    client.shown(slate)
    client.clicked(slate, 0)
"""

from ab_platform.client.aio import AsyncClient
from ab_platform.client.http import Client
from ab_platform.client.shapes import ArmShown, Assigned, Counts, ExperimentShown, Place, Rejected, ServedSlate
from ab_platform.client.wire_event import WireEvent, impression_id

__all__ = [
    "ArmShown",
    "Assigned",
    "AsyncClient",
    "Client",
    "Counts",
    "ExperimentShown",
    "Place",
    "Rejected",
    "ServedSlate",
    "WireEvent",
    "impression_id",
]
