"""Bank customers with a known truth about who leaves, and two weeks of events in which one column shifts.

All from a seed, so that the story can be checked: the label follows a logistic model in which Age matters most, then
NumOfProducts, IsActiveMember and Balance. In the events of 1 to 14 April 2021 every column keeps its distribution,
except NumOfProducts from the 12th on (a campaign sells third and fourth products).
"""

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

FEATURES = (
    "CreditScore",
    "Geography",
    "Gender",
    "Age",
    "Tenure",
    "Balance",
    "NumOfProducts",
    "HasCrCard",
    "IsActiveMember",
    "EstimatedSalary",
)
TARGET = "Exited"
ZONE = "Europe/Berlin"
FIRST_DAY = datetime.date(2021, 4, 1)
DAYS = 14
SHIFT_DAY = datetime.date(2021, 4, 12)
SHIFTED = "NumOfProducts"

PRODUCTS = (1, 2, 3, 4)
PRODUCT_SHARES = (0.50, 0.44, 0.045, 0.015)
CAMPAIGN_SHARES = (0.28, 0.38, 0.24, 0.10)


@dataclass(frozen=True)
class Story:
    """What the tour uploads: customers to train on (with target), events (timestamp, features, label)."""

    customers: "pa.Table"
    events: "pa.Table"


def make_story(*, seed: int = 2021, customers: int = 10_000, events_a_day: int = 400) -> Story:
    """Return the whole story for a seed. The events carry no prediction: the deployed model makes them."""
    import numpy as np

    random = np.random.default_rng(seed)
    return Story(make_customers(random, customers), make_events(random, events_a_day))


def make_customers(random: "np.random.Generator", rows: int) -> "pa.Table":
    """Return `rows` customers with the columns of FEATURES and TARGET."""
    import pyarrow as pa

    columns = _draw(random, rows, PRODUCT_SHARES)
    columns[TARGET] = _exits(random, columns)
    return pa.table(columns)


def make_events(random: "np.random.Generator", rows_a_day: int) -> "pa.Table":
    """Return events of DAYS days: timestamp (UTC), the columns of FEATURES, and label, ordered by time.

    Days are those of ZONE, each with about `rows_a_day` events (Poisson), evenly spread over its 24 hours.
    """
    import numpy as np
    import pyarrow as pa

    tables: list[pa.Table] = []
    for number in range(DAYS):
        day = FIRST_DAY + datetime.timedelta(days=number)
        shares = CAMPAIGN_SHARES if day >= SHIFT_DAY else PRODUCT_SHARES
        rows = int(random.poisson(rows_a_day))
        columns = _draw(random, rows, shares)
        midnight = datetime.datetime.combine(day, datetime.time(), ZoneInfo(ZONE)).timestamp()
        seconds = np.sort(random.uniform(0, 86_400, rows))
        moments = ((midnight + seconds) * 1000).astype(np.int64).astype("datetime64[ms]")
        stamps = pa.array(moments).cast(pa.timestamp("ms", "UTC"))
        label = _exits(random, columns)
        tables.append(pa.table({"timestamp": stamps, **columns, "label": label}))
    return pa.concat_tables(tables)


def _draw(random: "np.random.Generator", rows: int, products: tuple[float, ...]) -> dict[str, Any]:
    """Draw the features. NumOfProducts depends on no other column, so that it alone can shift."""
    import numpy as np

    balance = np.where(
        random.random(rows) < 0.36, 0.0, np.clip(random.normal(120_000, 30_000, rows), 1_000, None)
    )
    return {
        "CreditScore": np.clip(random.normal(650, 96, rows), 350, 850).round().astype(np.int64),
        "Geography": random.choice(["France", "Germany", "Spain"], rows, p=[0.50, 0.25, 0.25]),
        "Gender": random.choice(["Female", "Male"], rows, p=[0.46, 0.54]),
        "Age": np.clip(18 + random.gamma(4.6, 4.6, rows), 18, 92).round().astype(np.int64),
        "Tenure": random.integers(0, 11, rows),
        "Balance": balance.round(2),
        "NumOfProducts": random.choice(np.array(PRODUCTS), rows, p=np.array(products)),
        "HasCrCard": random.choice(np.array([0, 1]), rows, p=[0.3, 0.7]),
        "IsActiveMember": random.choice(np.array([0, 1]), rows, p=[0.485, 0.515]),
        "EstimatedSalary": random.uniform(12_000, 200_000, rows).round(2),
    }


def exit_probability(columns: dict[str, Any]) -> "NDArray[np.float64]":
    """Return the true probability that a customer leaves, shape (rows,)."""
    import numpy as np

    # Leaving grows steeply with age up to the middle fifties and falls again after retirement.
    age = np.asarray(columns["Age"], dtype=np.float64)
    of_age = 4.4 * np.exp(-(((age - 56) / 13) ** 2))
    of_products = np.array([0.0, 0.8, -0.6, 2.4, 3.2])[np.asarray(columns["NumOfProducts"])]
    logit = (
        -3.75
        + of_age
        + of_products
        - 1.05 * np.asarray(columns["IsActiveMember"])
        + 0.65 * (np.asarray(columns["Balance"]) > 0)
        + 0.40 * (np.asarray(columns["Geography"]) == "Germany")
        + 0.30 * (np.asarray(columns["Gender"]) == "Female")
        - 0.0006 * (np.asarray(columns["CreditScore"], dtype=np.float64) - 650)
    )
    return np.asarray(1 / (1 + np.exp(-logit)), dtype=np.float64)


def _exits(random: "np.random.Generator", columns: dict[str, Any]) -> "NDArray[np.int64]":
    import numpy as np

    probability = exit_probability(columns)
    return (random.random(len(probability)) < probability).astype(np.int64)
