"""The worked examples, each against an API that refuses whatever it does not expect."""

import pytest

from hotjar_assets.api.client import HotjarClient
from hotjar_assets.sandbox import (
    SANDBOX_CLIENT_ID,
    SANDBOX_CLIENT_SECRET,
    SandboxAccount,
    SandboxServer,
)
from hotjar_assets_tests.streams.conftest import EXAMPLES, example
from hotjar_assets_tests.streams.servers import BEGIN, Helpdesk, Shop, serving


def stream(client, name):
    return next(stream for stream in client.source.streams if stream.name == name)


def read(client, name, **options):
    pages = client.iter_pages(stream(client, name), **options)
    return [record for page in pages for record in page.records]


def test_all_examples_are_tested_here():
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} == {"hotjar", "shop", "helpdesk"}


def test_shop_is_read_page_by_page_from_its_start(connect):
    shop = Shop()
    with serving(shop) as server:
        client = connect(example("shop"), shop.environment(server.url))
        pages = list(client.iter_pages(stream(client, "orders")))
    assert [len(page.records) for page in pages] == [50, 50, 20, 0]
    assert [row for page in pages for row in page.records] == list(shop.orders.values())
    assert {page.metadata["currency"] for page in pages} == {"EUR"}
    start = str(int(BEGIN.timestamp()))
    assert [sent.query for sent in server.sent] == [
        {"per_page": "50", "page": str(page), "updated_since": start} for page in (1, 2, 3, 4)
    ]


def test_shop_is_read_from_where_it_was_left(connect):
    shop = Shop()
    shop.put(7, hours=500, total=99.5)
    shop.put(121, hours=501)
    with serving(shop) as server:
        client = connect(example("shop"), shop.environment(server.url) | {"SHOP_REGION": "eu"})
        since = BEGIN.replace(day=15)
        assert [row["id"] for row in read(client, "orders", since=since)] == [7, 121]
    assert [(sent.query["updated_since"], sent.query["region"]) for sent in server.sent] == [
        (str(int(since.timestamp())), "eu")
    ] * 2


def test_tickets_and_the_comments_of_each_are_read(connect):
    helpdesk = Helpdesk()
    with serving(helpdesk) as server:
        client = connect(example("helpdesk"), helpdesk.environment(server.url))
        tickets = read(client, "tickets")
        assert tickets == helpdesk.tickets
        assert [sent.query["offset"] for sent in server.sent] == ["0", "20", "40"]
        found = {row["id"]: read(client, "comments", parent=row) for row in tickets}
    assert found == helpdesk.comments
    of_last = [sent for sent in server.sent if sent.path == "/api/tickets/T%2F38%20%C3%A9/comments"]
    assert [sent.query for sent in of_last] == [
        {"offset": offset, "limit": "10"} for offset in ("0", "10", "12")
    ]


def test_hotjar_as_streams_has_the_rows_of_the_built_in_client(connect):
    account = SandboxAccount.empty()
    for number in range(3):
        account.add_survey(f"Survey {number}", responses=130 * number)
    key, secret = SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET
    with SandboxServer(account) as server:
        built_in = HotjarClient(server.url, site_ids=("1001",), client_id=key, client_secret=secret)
        variables = {"HOTJAR_API_URL": server.url, "HOTJAR_SITE_ID": "1001"}
        variables |= {"HOTJAR_CLIENT_ID": key, "HOTJAR_CLIENT_SECRET": secret}
        client = connect(example("hotjar"), variables)
        surveys = read(client, "surveys")
        assert [survey["id"] for survey in surveys] == [
            survey.id for survey in built_in.iter_surveys("1001")
        ]
        assert len(surveys) == 3
        for survey in surveys:
            pages = built_in.iter_response_pages("1001", str(survey["id"]))
            expected = [row.id for page in pages for row in page.results]
            assert [
                row["id"] for row in read(client, "survey_responses", parent=survey)
            ] == expected
        built_in.close()


@pytest.mark.parametrize("api", [Shop(1), Helpdesk(1)], ids=["shop", "helpdesk"])
def test_the_servers_refuse_wrong_credentials(api, connect):
    name = type(api).__name__.lower()
    with serving(api) as server:
        variables = api.environment(server.url) | {f"{name.upper()}_KEY": "wrong"}
        client = connect(example(name), variables)
        with pytest.raises(Exception, match=f"check {name.upper()}_KEY .*HTTP 401"):
            list(client.iter_pages(client.source.streams[0]))
    assert len(server.sent) == 1
