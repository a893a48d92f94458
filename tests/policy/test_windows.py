"""The policies that count from the payment, against an oracle that tries every day."""

from refunds.rules.policies import POLICIES
from tests.policy.window_oracle import WINDOWS
from tests.policy.windows import compare


def test_policies_by_payment_date_answer_as_the_oracle_does():
    disagreed, asked = compare(3_000, seed=1)
    assert disagreed == []
    # Each row of each of them was asked about, in earnest.
    assert set(asked) == {(name, row.rule) for name in WINDOWS for row in POLICIES[name].table.rows}
    assert min(asked.values()) >= 10, asked


def test_every_policy_has_an_oracle():
    assert set(POLICIES) == {"intl-2021", *WINDOWS}
