"""Who has money on a development chain: the accounts that every development tool funds.

They are those of the phrase "test test test test test test test test test test test junk" at m/44'/60'/0'/0/i, which
anvil and others start with too, so that one key pays on all of them. Everybody knows these keys: what they hold on
any other chain is lost.
"""

from tallynet.protocol.keys import Key

_SECRETS = (
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
)


def funded_key(index: int = 0) -> Key:
    """One of the accounts, 0 ≤ index < 5. Number 0 pays for the network itself; the others are free to use."""
    return Key(bytes.fromhex(_SECRETS[index]))


def funded_keys() -> tuple[Key, ...]:
    return tuple(funded_key(index) for index in range(len(_SECRETS)))
