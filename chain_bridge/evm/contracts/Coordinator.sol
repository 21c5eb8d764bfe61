// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fraction, Fractions, IRunToken, Till} from "./Till.sol";

/// The guide's coordinator, completed: stake to join, commit and reveal, votes of a committee, a
/// bonded aggregator, disputes, and the money that follows from them.
///
/// The organisation opens rounds (the draw of seats is made outside) and rules on disputes. It
/// cannot say what anybody is paid: forfeits, slashes and rewards follow from the calls.
contract Coordinator is Till {
    using Fractions for Fraction;

    enum Phase {
        Completed,
        OpenForRegistration,
        TrainingInProgress,
        AwaitingAggregation
    }
    enum Conduct {
        None,
        Registered,
        Committed,
        Revealed,
        Malformed
    }
    enum Destination {
        Burn,
        Treasury,
        Reporters
    }

    /// The parameters of the rule; durations in units of block time.
    struct Terms {
        uint256 stake;
        uint256 minimum;
        uint256 bond;
        uint256 pot;
        uint256 fee;
        uint256 challengeDeposit;
        Fraction slash;
        Fraction forfeit;
        Fraction absence;
        Fraction challengerShare;
        bool bySamples;
        Destination destination;
        address treasury;
        uint64 submission;
        uint64 reveal;
        uint64 delivery;
        uint64 challenge;
    }

    struct Member {
        uint128 stake;
        uint128 bond;
        uint64 device;
        bool joined;
        bool bonded;
        bool gone;
    }

    /// Rewards that a member has not withdrawn: they are issued when it does.
    struct Credit {
        uint128 worker;
        uint128 aggregator;
    }

    struct Round {
        uint64 number;
        Phase phase;
        bool delivered;
        bool absent;
        bool ruled;
        uint32 committed;
        uint32 revealed;
        uint32 malformed;
        uint32 ballots;
        uint64 submissionDeadline;
        uint64 revealDeadline;
        uint64 lastReveal;
        uint64 deliveredAt;
        address aggregator;
        bytes32 aggregate;
        bytes32 right;
    }

    /// `yes` and `no` have a bit for each seat of the committee.
    struct Entry {
        bytes32 commitment;
        Conduct conduct;
        uint64 samples;
        uint64 yes;
        uint64 no;
    }

    address public constant STAKES =
        address(uint160(uint256(keccak256("escrow:coordinator-stakes"))));
    address public constant BONDS = address(uint160(uint256(keccak256("escrow:bonds"))));
    uint64 public constant NO_DEADLINE = type(uint64).max;
    uint256 public constant MOST_SEATS = 64;

    Terms private terms;
    Round private latest;
    bool public closed;
    mapping(address => Member) public members;
    mapping(address => Credit) public credits;
    mapping(uint64 => address) public ownerOf;
    mapping(uint256 => address[]) public workers;
    mapping(uint256 => address[]) public shown;
    mapping(uint256 => address[]) public committee;
    mapping(uint256 => address[]) public disputers;
    mapping(uint256 => mapping(address => Entry)) public entries;
    mapping(uint256 => mapping(address => bytes32)) public disputes;
    /// 1 + the seat of a member of the committee; the top bit: it has voted.
    mapping(uint256 => mapping(address => uint256)) private _seats;

    event RoundOpened(uint64 indexed round, address aggregator);
    event RoundStarted(uint64 indexed round, uint64 submissionDeadline);
    event Committed(uint64 indexed round, address indexed worker, bytes32 commitment);
    event Revealed(uint64 indexed round, address indexed worker, bytes opening);
    event Delivered(uint64 indexed round, bytes32 aggregate);
    event Disputed(uint64 indexed round, address indexed challenger, bytes32 claimed);
    event DisputeSettled(uint64 indexed round, address indexed challenger, bool won);
    event Finalised(uint64 indexed round, uint256 included, bool wrong, bool absent);

    error Unregistered();
    error Uncommitted();
    error Mismatched();
    error Ineligible(address who);
    error Seated();
    error SameAggregate();
    error BadBallots();

    constructor(IRunToken token_, address organisation, Terms memory terms_)
        Till(token_, organisation)
    {
        terms = terms_;
    }

    /// Return the parameters of the rule.
    function allTerms() external view returns (Terms memory) {
        return terms;
    }

    /// Return the round that is played, or the last one.
    function current() external view returns (Round memory) {
        return latest;
    }

    // --- membership ------------------------------------------------------------------------------

    /// Join with a device number that is free, and lock the stake.
    function join(uint64 device) external nonReentrant {
        if (closed) revert WrongPhase();
        Member storage m = members[msg.sender];
        if (m.joined || ownerOf[device] != address(0)) revert Duplicate();
        m.joined = true;
        m.device = device;
        m.stake = uint128(terms.stake);
        ownerOf[device] = msg.sender;
        _deposit(msg.sender, STAKES, terms.stake, "stake.join");
    }

    /// Lock the bond of an aggregator.
    function postBond() external nonReentrant {
        Member storage m = _member(msg.sender);
        if (closed) revert WrongPhase();
        if (m.bonded) revert Duplicate();
        m.bonded = true;
        m.bond = uint128(terms.bond);
        _deposit(msg.sender, BONDS, terms.bond, "bond.join");
    }

    /// Take stake and bond back when the task is over.
    function withdrawDeposits() external nonReentrant {
        Member storage m = _member(msg.sender);
        if (!closed) revert Early();
        if (m.gone) revert NothingToWithdraw();
        (uint256 stake, uint256 bond) = (m.stake, m.bond);
        m.gone = true;
        m.stake = 0;
        m.bond = 0;
        _pay(STAKES, msg.sender, stake, "stake.back");
        _pay(BONDS, msg.sender, bond, "bond.back");
    }

    /// Have the rewards of finished rounds issued.
    function withdraw() external nonReentrant {
        _member(msg.sender);
        Credit memory owed = credits[msg.sender];
        if (owed.worker == 0 && owed.aggregator == 0) revert NothingToWithdraw();
        delete credits[msg.sender];
        _issue(msg.sender, owed.worker, "reward.worker");
        _issue(msg.sender, owed.aggregator, "reward.aggregator");
    }

    /// End the task between two rounds.
    function close() external onlyRole(ORGANISATION) {
        if (latest.phase != Phase.Completed || closed) revert WrongPhase();
        closed = true;
    }

    function isEligible(address who) public view returns (bool) {
        Member storage m = members[who];
        uint256 least = terms.minimum < terms.stake ? terms.minimum : terms.stake;
        return m.joined && !m.gone && m.stake >= least;
    }

    function mayAggregate(address who) public view returns (bool) {
        Member storage m = members[who];
        return m.bonded && !m.gone && 2 * uint256(m.bond) >= terms.bond;
    }

    function _member(address who) private view returns (Member storage m) {
        m = members[who];
        if (!m.joined) revert NotMember(who);
    }

    // --- a round ---------------------------------------------------------------------------------

    /// Open a round with the seats that were drawn; without an aggregator the organisation is it.
    function openRound(address aggregator, address[] calldata seats)
        external
        onlyRole(ORGANISATION)
    {
        if (latest.phase != Phase.Completed || closed) revert WrongPhase();
        if (aggregator != address(0) && !mayAggregate(aggregator)) revert Ineligible(aggregator);
        if (seats.length > MOST_SEATS) revert BadBallots();
        uint64 number = latest.number + 1;
        delete latest;
        latest.number = number;
        latest.phase = Phase.OpenForRegistration;
        latest.aggregator = aggregator;
        for (uint256 i = 0; i < seats.length; i++) {
            if (!isEligible(seats[i])) revert Ineligible(seats[i]);
            if (seats[i] == aggregator || _seats[number][seats[i]] != 0) revert Seated();
            _seats[number][seats[i]] = i + 1;
        }
        committee[number] = seats;
        emit RoundOpened(number, aggregator);
    }

    function register() external {
        Round storage r = _in(Phase.OpenForRegistration);
        _member(msg.sender);
        if (!isEligible(msg.sender)) revert Ineligible(msg.sender);
        if (msg.sender == r.aggregator || _seats[r.number][msg.sender] != 0) revert Seated();
        Entry storage e = entries[r.number][msg.sender];
        if (e.conduct != Conduct.None) revert Duplicate();
        e.conduct = Conduct.Registered;
        workers[r.number].push(msg.sender);
    }

    /// Open the round for commitments.
    function start() external {
        Round storage r = _in(Phase.OpenForRegistration);
        _byAggregator(r);
        r.phase = Phase.TrainingInProgress;
        bool unlimited = terms.submission == NO_DEADLINE;
        r.submissionDeadline = unlimited ? NO_DEADLINE : _now() + terms.submission;
        emit RoundStarted(r.number, r.submissionDeadline);
    }

    function commit(bytes32 commitment) external {
        Round storage r = _in(Phase.TrainingInProgress);
        Entry storage e = entries[r.number][msg.sender];
        if (e.conduct == Conduct.None) revert Unregistered();
        if (_now() > r.submissionDeadline) revert Late();
        if (e.conduct != Conduct.Registered) revert Duplicate();
        e.conduct = Conduct.Committed;
        e.commitment = commitment;
        r.committed++;
        emit Committed(r.number, msg.sender, commitment);
    }

    /// End commitments: at the deadline, or when every registered member has committed. Without a
    /// deadline the organisation may end them at any time.
    function closeSubmissions() external {
        Round storage r = _in(Phase.TrainingInProgress);
        bool complete = r.committed == workers[r.number].length;
        bool free = r.submissionDeadline == NO_DEADLINE && hasRole(ORGANISATION, msg.sender);
        if (_now() < r.submissionDeadline && !complete && !free) revert Early();
        r.phase = Phase.AwaitingAggregation;
        r.revealDeadline = _now() + terms.reveal;
        r.lastReveal = _now();
    }

    /// Reveal what the commitment is the hash of: 32 bytes digest of the update, claimed samples
    /// and epochs (two little-endian 64-bit integers), 16 bytes of salt.
    function reveal(bytes calldata opening) external {
        Round storage r = _in(Phase.AwaitingAggregation);
        Entry storage e = entries[r.number][msg.sender];
        if (e.conduct == Conduct.None || e.conduct == Conduct.Registered) revert Uncommitted();
        if (_now() > r.revealDeadline) revert Late();
        if (e.conduct != Conduct.Committed) revert Duplicate();
        bytes8 device = bytes8(_reversed(members[msg.sender].device));
        if (opening.length != 64 || sha256(abi.encodePacked("commit", device, opening)) != e.commitment)
            revert Mismatched();
        e.conduct = Conduct.Revealed;
        e.samples = _reversed(uint64(bytes8(opening[32:40])));
        r.revealed++;
        r.lastReveal = _now();
        shown[r.number].push(msg.sender);
        emit Revealed(r.number, msg.sender, opening);
    }

    /// Set aside updates that can never be aggregated, by their places among those revealed.
    function markMalformed(uint256[] calldata places) external onlyRole(ORGANISATION) {
        Round storage r = _judging();
        if (r.ballots != 0) revert WrongPhase();
        for (uint256 i = 0; i < places.length; i++) {
            Entry storage e = entries[r.number][shown[r.number][places[i]]];
            if (e.conduct != Conduct.Revealed) revert Duplicate();
            e.conduct = Conduct.Malformed;
        }
        r.malformed += uint32(places.length);
    }

    /// Vote on all updates that were revealed: a bit for each, in their order. Without a committee
    /// the organisation votes.
    function vote(bytes calldata ballots) external {
        Round storage r = _judging();
        uint256 seat = _seats[r.number][msg.sender];
        if (committee[r.number].length == 0) {
            _checkRole(ORGANISATION);
            seat = 1;
            if (r.ballots != 0) revert Duplicate();
        } else {
            if (seat == 0) revert NotMember(msg.sender);
            if (seat >> 255 != 0) revert Duplicate();
            _seats[r.number][msg.sender] = seat | (1 << 255);
        }
        address[] storage list = shown[r.number];
        uint256 count = list.length;
        if (ballots.length != (count + 7) / 8) revert BadBallots();
        r.ballots++;
        uint64 bit = uint64(1 << (seat - 1));
        for (uint256 i = 0; i < count; i++) {
            Entry storage e = entries[r.number][list[i]];
            if (e.conduct != Conduct.Revealed) continue;
            if ((uint8(ballots[i / 8]) >> (i % 8)) & 1 == 1) e.yes |= bit;
            else e.no |= bit;
        }
    }

    /// Deliver the digest of the aggregate when everybody has voted, or the time for it is over.
    function deliver(bytes32 aggregate) external {
        Round storage r = _judging();
        _byAggregator(r);
        uint256 seats = committee[r.number].length;
        uint256 needed = r.revealed == r.malformed ? 0 : seats == 0 ? 1 : seats;
        if (r.ballots < needed && _now() <= _revealsOverAt(r) + terms.delivery) revert Early();
        r.delivered = true;
        r.deliveredAt = _now();
        r.aggregate = aggregate;
        emit Delivered(r.number, aggregate);
    }

    /// State that the aggregator delivered nothing in time.
    function declareAbsent() external onlyRole(ORGANISATION) {
        Round storage r = _judging();
        if (_now() <= _revealsOverAt(r) + terms.delivery) revert Early();
        r.absent = true;
    }

    /// Claim that the aggregate is another; at stake is the challenger's deposit.
    function dispute(bytes32 claimed) external {
        Round storage r = _in(Phase.AwaitingAggregation);
        bool worker = entries[r.number][msg.sender].conduct != Conduct.None;
        if (!worker && _seats[r.number][msg.sender] == 0) revert NotMember(msg.sender);
        if (!r.delivered || r.aggregator == address(0)) revert WrongPhase();
        if (_now() > r.deliveredAt + terms.challenge) revert Late();
        if (disputes[r.number][msg.sender] != 0) revert Duplicate();
        if (claimed == r.aggregate || claimed == 0) revert SameAggregate();
        disputes[r.number][msg.sender] = claimed;
        disputers[r.number].push(msg.sender);
        emit Disputed(r.number, msg.sender, claimed);
    }

    /// Rule on disputes: state the digest of the right aggregate.
    function rule(bytes32 right) external onlyRole(ORGANISATION) {
        Round storage r = _in(Phase.AwaitingAggregation);
        if (disputers[r.number].length == 0 || r.ruled) revert WrongPhase();
        if (_now() <= r.deliveredAt + terms.challenge) revert Early();
        r.ruled = true;
        r.right = right;
    }

    /// Complete the round: rewards of the included, slashes, forfeits, and the aggregator's bond.
    function finalise() external nonReentrant {
        Round storage r = _in(Phase.AwaitingAggregation);
        if (!hasRole(ORGANISATION, msg.sender)) _byAggregator(r);
        if (!r.absent) {
            if (!r.delivered) revert Early();
            bool open = r.aggregator != address(0) && _now() <= r.deliveredAt + terms.challenge;
            bool pending = disputers[r.number].length != 0 && !r.ruled;
            if (open || pending) revert Early();
        }
        r.phase = Phase.Completed;
        bool wrong = r.ruled && r.right != r.aggregate;
        uint256 included = r.absent ? 0 : _reward(r, wrong);
        _punish(r);
        _settleDisputes(r, wrong);
        emit Finalised(r.number, included, wrong, r.absent);
    }

    // --- the money of a round --------------------------------------------------------------------

    function isAccepted(Entry storage e) private view returns (bool) {
        return e.conduct == Conduct.Revealed && _bits(e.yes) >= _bits(e.no);
    }

    /// Credit floor(pot * w / sum of w) to each included worker, and the fee to the aggregator.
    function _reward(Round storage r, bool wrong) private returns (uint256 included) {
        address[] storage list = shown[r.number];
        uint256 whole;
        for (uint256 i = 0; i < list.length; i++) {
            Entry storage e = entries[r.number][list[i]];
            if (!isAccepted(e)) continue;
            included++;
            whole += terms.bySamples ? e.samples : 1;
        }
        if (whole != 0) {
            for (uint256 i = 0; i < list.length; i++) {
                Entry storage e = entries[r.number][list[i]];
                if (!isAccepted(e)) continue;
                uint256 weight = terms.bySamples ? e.samples : 1;
                credits[list[i]].worker += uint128((terms.pot * weight) / whole);
            }
        }
        if (included != 0 && !wrong && r.aggregator != address(0)) {
            credits[r.aggregator].aggregator += uint128(terms.fee);
        }
    }

    /// Slash the rejected (unless nothing was finalised) and the malformed; take the forfeits.
    function _punish(Round storage r) private {
        address[] storage list = workers[r.number];
        for (uint256 i = 0; i < list.length; i++) {
            Entry storage e = entries[r.number][list[i]];
            Member storage m = members[list[i]];
            if (e.conduct == Conduct.Committed) {
                _destroy(r, m, terms.forfeit.loss(m.stake), 0, "forfeit", "forfeit.reporter");
            } else if (e.conduct == Conduct.Malformed) {
                _destroy(r, m, terms.slash.loss(m.stake), 0, "slash", "slash.reporter");
            } else if (e.conduct == Conduct.Revealed && !r.absent && !isAccepted(e)) {
                _destroy(r, m, terms.slash.loss(m.stake), e.no, "slash", "slash.reporter");
            }
        }
    }

    /// Move a part of a stake to its destination; reporters share it equally, the rest is burned.
    function _destroy(
        Round storage r,
        Member storage m,
        uint256 amount,
        uint64 reporters,
        bytes32 reason,
        bytes32 shared
    ) private {
        m.stake -= uint128(amount);
        if (terms.destination == Destination.Reporters) {
            uint256 share = reporters == 0 ? 0 : amount / _bits(reporters);
            address[] storage seats = committee[r.number];
            for (uint256 i = 0; i < seats.length; i++) {
                if ((reporters >> i) & 1 == 0) continue;
                _pay(STAKES, seats[i], share, shared);
                amount -= share;
            }
        }
        _pay(STAKES, _sink(), amount, reason);
    }

    function _sink() private view returns (address) {
        return terms.destination == Destination.Treasury ? terms.treasury : address(0);
    }

    /// Take the bond of an absent or wrong aggregator, and the deposits of false challengers.
    function _settleDisputes(Round storage r, bool wrong) private {
        address aggregator = r.aggregator;
        if (aggregator == address(0)) return;
        Member storage m = members[aggregator];
        if (r.absent) {
            uint256 lost = terms.absence.part(m.bond);
            m.bond -= uint128(lost);
            _pay(BONDS, _sink(), lost, "bond.absent");
            return;
        }
        address[] storage list = disputers[r.number];
        if (wrong) {
            uint256 lost = m.bond;
            m.bond = 0;
            for (uint256 i = 0; i < list.length; i++) {
                if (disputes[r.number][list[i]] != r.right) continue;
                uint256 share = terms.challengerShare.part(lost);
                _pay(BONDS, list[i], share, "challenge.won");
                emit DisputeSettled(r.number, list[i], true);
                lost -= share;
                break;
            }
            _pay(BONDS, _sink(), lost, "bond.lost");
            return;
        }
        for (uint256 i = 0; i < list.length; i++) {
            Member storage challenger = members[list[i]];
            uint256 lost = terms.challengeDeposit;
            if (lost > challenger.stake) lost = challenger.stake;
            challenger.stake -= uint128(lost);
            _pay(STAKES, aggregator, lost, "challenge.lost");
            emit DisputeSettled(r.number, list[i], false);
        }
    }

    // --- helpers ---------------------------------------------------------------------------------

    function _in(Phase phase) private view returns (Round storage r) {
        r = latest;
        if (r.phase != phase) revert WrongPhase();
    }

    /// The round while updates are judged: reveals are over and nothing was delivered.
    function _judging() private view returns (Round storage r) {
        r = _in(Phase.AwaitingAggregation);
        if (r.delivered || r.absent) revert WrongPhase();
        if (r.revealed != r.committed && _now() <= r.revealDeadline) revert Early();
    }

    function _revealsOverAt(Round storage r) private view returns (uint64) {
        return r.revealed == r.committed ? r.lastReveal : r.revealDeadline;
    }

    function _byAggregator(Round storage r) private view {
        if (r.aggregator == address(0)) _checkRole(ORGANISATION);
        else if (msg.sender != r.aggregator) revert NotMember(msg.sender);
    }

    function _now() private view returns (uint64) {
        return uint64(block.timestamp);
    }

    /// Return a number with its eight bytes in the other order.
    function _reversed(uint64 x) private pure returns (uint64 y) {
        for (uint256 i = 0; i < 8; i++) {
            y = (y << 8) | (x & 0xff);
            x >>= 8;
        }
    }

    function _bits(uint64 x) private pure returns (uint256 count) {
        for (; x != 0; x &= x - 1) count++;
    }
}
