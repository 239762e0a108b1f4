"""The prompts of collecting tools: their records (ASTRA paper; spec section 1.1)."""

from __future__ import annotations

from enum import StrEnum

from astra.teacher.prompt import Prompt, TeacherAnswer
from astra.types import Language, Record


class Domain(StrEnum):
    """What a service is for. The values stand in the rows."""

    software_development = "software_development"
    """Code, repositories, builds, issues, deployment."""
    databases = "databases"
    """Storing and querying records, tables, vectors."""
    files = "files"
    """Files and folders, and their storage."""
    documents = "documents"
    """Writing, converting and reading documents, notes, wikis."""
    web_search = "web_search"
    """Searching and fetching pages."""
    browser_automation = "browser_automation"
    """Driving a browser or a desktop."""
    cloud_infrastructure = "cloud_infrastructure"
    """Machines, containers, networks, domains."""
    monitoring = "monitoring"
    """Logs, metrics, alerts, incidents."""
    security = "security"
    """Vulnerabilities, identities, secrets, certificates."""
    artificial_intelligence = "artificial_intelligence"
    """Models, prompts, memories, embeddings."""
    data_analysis = "data_analysis"
    """Statistics, charts, reports."""
    mathematics = "mathematics"
    """Computation, units, symbolic algebra."""
    science = "science"
    """Papers, chemistry, biology, physics, astronomy."""
    education = "education"
    """Courses, lessons, exams, dictionaries."""
    language_translation = "language_translation"
    """Translating, grammar, speech."""
    communication = "communication"
    """Mail, chat, messages, calls."""
    social_media = "social_media"
    """Posts, followers, communities."""
    productivity = "productivity"
    """Tasks, to-dos, projects, forms."""
    calendar = "calendar"
    """Dates, events, reminders, bookings of rooms."""
    customer_service = "customer_service"
    """Customers, tickets, contacts, surveys."""
    human_resources = "human_resources"
    """Staff, recruiting, payroll, jobs."""
    marketing = "marketing"
    """Campaigns, advertisements, search ranks."""
    finance = "finance"
    """Stocks, markets, banks, accounting."""
    payments = "payments"
    """Invoices, payments, subscriptions."""
    cryptocurrency = "cryptocurrency"
    """Blockchains, tokens, wallets."""
    shopping = "shopping"
    """Products, carts, orders, reviews."""
    logistics = "logistics"
    """Warehouses, stock, shipping, parcels."""
    travel = "travel"
    """Flights, hotels, trains, itineraries."""
    maps = "maps"
    """Places, routes, addresses, coordinates."""
    weather = "weather"
    """Forecasts, climate, air, seas."""
    food = "food"
    """Restaurants, recipes, nutrition."""
    health = "health"
    """Patients, medicine, fitness."""
    sports = "sports"
    """Matches, teams, scores."""
    games = "games"
    """Video games, puzzles, players."""
    entertainment = "entertainment"
    """Films, series, events, books."""
    music = "music"
    """Songs, artists, playlists, audio."""
    images_video = "images_video"
    """Pictures, design, video."""
    news = "news"
    """Headlines, articles, feeds."""
    government = "government"
    """Laws, public data, elections, agencies."""
    real_estate = "real_estate"
    """Houses, rents, properties."""
    home_devices = "home_devices"
    """Smart homes, sensors, machines."""
    other = "other"
    """None of these."""


class ToolSummary(Record):
    """A tool in a few words."""

    name: str
    description: str


class DomainIn(Record):
    """What is known of a service."""

    language: Language
    name: str
    description: str
    tools: tuple[ToolSummary, ...]
    """Some of its tools, descriptions cut."""
    total: int
    """How many it has."""


class DomainOut(TeacherAnswer):
    """The domain of a service."""

    reason: str
    """What the service is for, in one sentence."""
    domain: Domain
    """The one that fits best."""


DOMAIN = Prompt("classify_domain", 1, DomainIn, DomainOut)

ALL: tuple[Prompt[Record, Record], ...] = (DOMAIN,)  # pyright: ignore[reportAssignmentType] - read only
