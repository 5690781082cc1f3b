# pragma version ~=0.4.3
"""
@title The last anchors of a node
@license Apache-2.0
@notice How a node's registration, its head and its last anchors are packed into storage words.
@dev A pair is the size of a log (40 bits) and the time of its anchor in seconds (40 bits).

         state    registered (bit 244) | turn (4 bits) | the last three pairs, the newest lowest (240 bits)
         slots    three words, each 1 (bit 255) | three older pairs, the newest lowest (240 bits)

     `turn` counts the anchors modulo 9. At every third anchor the three pairs of `state` go to the slot whose turn it
     is, so that two anchors of three write no slot at all. A slot is never empty, so that no anchor pays for a new one.
     With the pairs of `state` there are always the last nine, where there have been so many.
"""


MAX_SIZE: constant(uint256) = 2**40
LOW_40: constant(uint256) = 2**40 - 1
LOW_80: constant(uint256) = 2**80 - 1
LOW_240: constant(uint256) = 2**240 - 1
REGISTERED: constant(uint256) = 1 << 244
MARK: constant(uint256) = 1 << 255
TURNS: constant(uint256) = 9


@internal
@pure
def is_registered(state: uint256) -> bool:
    """
    @notice Whether there is a stake behind the node.
    """
    return state & REGISTERED != 0


@internal
@pure
def size(state: uint256) -> uint256:
    """
    @notice Leaves in the anchored log.
    """
    return state & LOW_40


@internal
@pure
def time(state: uint256) -> uint256:
    """
    @notice Time of the last anchor, in seconds.
    """
    return state >> 40 & LOW_40


@internal
@pure
def turn(state: uint256) -> uint256:
    """
    @notice Number of anchors so far, modulo 9.
    """
    return state >> 240 & 15


@internal
@pure
def advanced(state: uint256, size: uint256, time: uint256) -> uint256:
    """
    @notice The state after one more anchor, for size and time below 2**40.
    """
    turn: uint256 = (self.turn(state) + 1) % TURNS
    return state & REGISTERED | turn << 240 | (state << 80 & LOW_240) | time << 40 | size


@internal
@pure
def is_full(state: uint256) -> bool:
    """
    @notice Whether none of the three pairs of `state` is in a slot yet, so that the next anchor must put them there.
    """
    return self.turn(state) % 3 == 0 and self.size(state) != 0


@internal
@pure
def slot(state: uint256) -> uint256:
    """
    @notice Where the three pairs of a full `state` belong.
    """
    return self.turn(state) // 3


@internal
@pure
def spilled(state: uint256) -> uint256:
    """
    @notice The slot that keeps the three pairs of `state`.
    """
    return MARK | state & LOW_240


@internal
@pure
def pairs(state: uint256, slots: uint256[3]) -> DynArray[uint256, 9]:
    """
    @notice The last pairs, nine at most, the newest first.
    """
    found: DynArray[uint256, 9] = []
    turn: uint256 = self.turn(state)
    here: uint256 = (turn + TURNS - 1) % 3 + 1  # pairs of `state` that are in no slot yet
    for back: uint256 in range(TURNS):
        pair: uint256 = 0
        if back < here:
            pair = state >> 80 * back & LOW_80
        else:
            number: uint256 = (turn + TURNS - 1 - back) % TURNS  # of the anchor, modulo 9
            pair = slots[(number // 3 + 1) % 3] >> 80 * (2 - number % 3) & LOW_80
        if pair == 0:
            break
        found.append(pair)
    return found


@internal
@pure
def first_cover(index: uint256, pairs: DynArray[uint256, 9]) -> uint256:
    """
    @notice When entry `index` of the log was first anchored, for an index below the newest size.
    @dev Fewer than nine pairs begin with the node's first anchor.
    @return Time in seconds, or 0 when that was before the pairs begin to tell
    """
    for at: uint256 in range(len(pairs), bound=9):
        is_oldest: bool = at + 1 == len(pairs)
        if is_oldest and len(pairs) == TURNS:
            break
        if is_oldest or self.size(pairs[at + 1]) <= index:
            return self.time(pairs[at])
    return 0
