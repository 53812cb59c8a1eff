from enum import StrEnum


class ProductsOrdering(StrEnum):
    ID = "id"
    NAME = "name"
    PRICE = "price"
    VALUE_2 = "-price"
    VALUE_4 = "-createdAt"

    def __str__(self) -> str:
        return str(self.value)
