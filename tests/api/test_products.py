"""`GET /api/products` and `GET /api/products/{productId}`."""

from typing import Any

import pytest

from products.models import Product
from tests.factories import OPTIONAL_JSON, ProductFactory, UserFactory
from tests.shop_state import statements
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db(transaction=True)

PRODUCTS = "/api/products"


@pytest.fixture
def catalogue() -> dict[str, Product]:
    """Five products for sale, and one that is not for sale."""
    return {
        "pen": ProductFactory(name="Pen", description="Writes blue.", price=1_200, stock=3),
        "apple": ProductFactory(name="Apple", description="Sweet.", price=900, stock=0),
        "chair": ProductFactory(name="Chair", description="Four legs.", price=45_000, stock=7),
        "juice": ProductFactory(name="제주 감귤 주스", description="Sweet, 1 L.", price=4_500, stock=20),
        "brush": ProductFactory(name="brush", description="", price=1_200, stock=1),
        "relic": ProductFactory(name="Relic", description="Sweet memories.", price=1, is_active=False),
    }


def names(answer: Any) -> list[str]:
    return [product["name"] for product in answer.json["results"]]


def test_the_list_shows_what_is_for_sale(stranger: Shopper, catalogue: dict[str, Product]) -> None:
    with statements() as ran:
        answer = stranger.get(PRODUCTS)
    assert answer.status == 200
    assert answer.json.keys() == {"count", "next", "previous", "results"}
    assert answer.json["count"] == 5
    assert (answer.json["next"], answer.json["previous"]) == (None, None)
    assert names(answer) == ["Pen", "Apple", "Chair", "제주 감귤 주스", "brush"]
    assert answer.json["results"][3] == {
        "id": catalogue["juice"].pk,
        "name": "제주 감귤 주스",
        "description": "Sweet, 1 L.",
        "price": 4_500,
        "stock": 20,
        **OPTIONAL_JSON,
    }
    assert len(ran) == 2  # the query of the count and that of the page


def test_the_second_request_needs_no_query(stranger: Shopper, catalogue: dict[str, Product]) -> None:
    first = stranger.get(PRODUCTS)
    with statements() as ran:
        second = stranger.get(PRODUCTS)
    assert second.content == first.content
    assert ran == []


def test_an_empty_shop_has_an_empty_list(stranger: Shopper) -> None:
    assert stranger.get(PRODUCTS).json == {"count": 0, "next": None, "previous": None, "results": []}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"search": "sweet"}, ["Apple", "제주 감귤 주스"]),
        ({"search": "CHAIR"}, ["Chair"]),
        ({"search": "감귤"}, ["제주 감귤 주스"]),
        ({"search": "감귤 제주"}, ["제주 감귤 주스"]),
        ({"search": "  주스   제주 "}, ["제주 감귤 주스"]),
        ({"search": "제주\u3000sweet"}, ["제주 감귤 주스"]),
        ({"search": "제주 사과"}, []),
        ({"search": "%"}, []),
        ({"search": "_"}, []),
        ({"search": "'; DROP TABLE product; --"}, []),
        ({"search": ""}, ["Pen", "Apple", "Chair", "제주 감귤 주스", "brush"]),
        ({"ordering": "id"}, ["Pen", "Apple", "Chair", "제주 감귤 주스", "brush"]),
        ({"ordering": "price"}, ["Apple", "Pen", "brush", "제주 감귤 주스", "Chair"]),
        ({"ordering": "-price"}, ["Chair", "제주 감귤 주스", "Pen", "brush", "Apple"]),
        ({"ordering": "-createdAt"}, ["brush", "제주 감귤 주스", "Chair", "Apple", "Pen"]),
        ({"minPrice": "1200"}, ["Pen", "Chair", "제주 감귤 주스", "brush"]),
        ({"maxPrice": "1200"}, ["Pen", "Apple", "brush"]),
        ({"minPrice": "1000", "maxPrice": "5000"}, ["Pen", "제주 감귤 주스", "brush"]),
        ({"minPrice": "5000", "maxPrice": "1000"}, []),
        ({"inStock": "true"}, ["Pen", "Chair", "제주 감귤 주스", "brush"]),
        ({"inStock": "false"}, ["Pen", "Apple", "Chair", "제주 감귤 주스", "brush"]),
        ({"search": "sweet", "inStock": "true", "ordering": "-price"}, ["제주 감귤 주스"]),
    ],
    ids=str,
)
def test_the_list_can_be_filtered_and_ordered(
    stranger: Shopper, catalogue: dict[str, Product], query: dict[str, str], expected: list[str]
) -> None:
    answer = stranger.get(PRODUCTS, query)
    assert names(answer) == expected
    assert answer.json["count"] == len(expected)


def test_ordering_by_name_is_alphabetical(stranger: Shopper) -> None:
    for name in ("C", "A", "B"):
        ProductFactory(name=name)
    assert names(stranger.get(PRODUCTS, ordering="name")) == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ({"ordering": "stock"}, "ordering", "invalid_choice"),
        ({"ordering": "-id"}, "ordering", "invalid_choice"),
        ({"minPrice": "-1"}, "minPrice", "min_value"),
        ({"maxPrice": "cheap"}, "maxPrice", "invalid"),
        ({"maxPrice": str(2**63)}, "maxPrice", "max_value"),
        ({"inStock": "perhaps"}, "inStock", "invalid"),
        ({"search": "x" * 101}, "search", "max_length"),
        ({"search": "a\u0000b"}, "search", "null_characters_not_allowed"),
        ({"page": "0"}, "page", "invalid"),
        ({"page": "-1"}, "page", "invalid"),
        ({"page": "last"}, "page", "invalid"),
        ({"page": "99"}, "page", "invalid"),
        ({"page": "9" * 30}, "page", "invalid"),
        ({"page": "١"}, "page", "invalid"),
        ({"pageSize": "0"}, "pageSize", "invalid"),
        ({"pageSize": "101"}, "pageSize", "invalid"),
        ({"pageSize": "1000000"}, "pageSize", "invalid"),
        ({"pageSize": "ten"}, "pageSize", "invalid"),
    ],
    ids=str,
)
def test_an_invalid_parameter_is_refused(stranger: Shopper, query: dict[str, str], field: str, code: str) -> None:
    answer = stranger.get(PRODUCTS, query)
    assert answer.outcome == (400, "validation_error")
    assert [(error["field"], error["code"]) for error in answer.json["errors"]] == [(field, code)]


def test_pages_by_number_show_everything_once(stranger: Shopper) -> None:
    products = [ProductFactory(price=500).pk for _ in range(7)]
    shown: list[int] = []
    pages = 0
    address = f"{PRODUCTS}?pageSize=3&ordering=price"
    while address:
        answer = stranger.get(address)
        assert answer.json["count"] == 7
        shown += [product["id"] for product in answer.json["results"]]
        pages += 1
        address = (answer.json["next"] or "").removeprefix("http://testserver")
    assert (shown, pages) == (products, 3)
    last = stranger.get(PRODUCTS, pageSize="3", ordering="price", page="3")
    assert [product["id"] for product in last.json["results"]] == products[6:]
    assert "page=2" in last.json["previous"]
    assert "ordering=price" in last.json["previous"]


def test_page_size_defaults_to_20_and_is_at_most_100(stranger: Shopper) -> None:
    Product.objects.bulk_create([Product(name=f"P{number}", price=number) for number in range(101)])
    assert len(stranger.get(PRODUCTS).json["results"]) == 20
    assert len(stranger.get(PRODUCTS, pageSize="1").json["results"]) == 1
    assert len(stranger.get(PRODUCTS, pageSize="100").json["results"]) == 100


def test_a_product_is_read_with_one_query(stranger: Shopper) -> None:
    product = ProductFactory(name="Pen", description="Writes.", price=1_200, stock=3)
    with statements() as ran:
        answer = stranger.get(f"{PRODUCTS}/{product.pk}")
    assert answer.status == 200
    shown = {"id": product.pk, "name": "Pen", "description": "Writes.", "price": 1_200, "stock": 3}
    assert answer.json == {**shown, **OPTIONAL_JSON}
    assert len(ran) == 1


def test_a_product_shows_its_current_stock(stranger: Shopper) -> None:
    product = ProductFactory(price=100, stock=5)
    Shopper(UserFactory(balance=1_000)).post("/api/orders", {"items": [{"productId": product.pk, "quantity": 2}]})
    assert stranger.get(f"{PRODUCTS}/{product.pk}").json["stock"] == 3


def test_a_product_that_is_not_for_sale_is_not_found(stranger: Shopper) -> None:
    product = ProductFactory(is_active=False)
    answer = stranger.get(f"{PRODUCTS}/{product.pk}")
    assert answer.outcome == (404, "product_not_found")
    assert answer.json["detail"] == f"There is no product {product.pk} for sale."


@pytest.mark.parametrize("number", ["999999999", "0", "9" * 18])
def test_an_unknown_product_is_not_found(stranger: Shopper, number: str) -> None:
    assert stranger.get(f"{PRODUCTS}/{number}").outcome == (404, "product_not_found")


@pytest.mark.parametrize("number", ["abc", "-1", "1.5", "9" * 19, "1%00", "%EF%BC%91"])
def test_an_invalid_product_id_is_an_unknown_route(stranger: Shopper, number: str) -> None:
    assert stranger.get(f"{PRODUCTS}/{number}").outcome == (404, "not_found")


@pytest.mark.parametrize("path", [PRODUCTS, f"{PRODUCTS}/1"])
def test_an_invalid_token_is_ignored_for_public_reads(path: str) -> None:
    ProductFactory(id=1)
    assert Shopper(access="expired").get(path).status == 200


@pytest.mark.parametrize("path", [PRODUCTS, f"{PRODUCTS}/popular"])
@pytest.mark.parametrize(
    "header", [{"If-Match": '"x"'}, {"If-Unmodified-Since": "Sat, 28 Nov 2020 12:00:00 GMT"}], ids=str
)
def test_a_failed_precondition_is_a_problem(stranger: Shopper, path: str, header: dict[str, str]) -> None:
    answer = stranger.get(path, headers=header)
    # A list has no Last-Modified, so conditions are only compared with its ETag.
    assert answer.outcome == ((412, "precondition_failed") if "If-Match" in header else (200, None))
