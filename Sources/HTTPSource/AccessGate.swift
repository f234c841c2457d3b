package import Admission
internal import HTTPServing
internal import HTTPWire
package import LogModel

/// Stands before every route: lets requests in by the policy, holds the senders of each token to their rate, and counts whom it
/// turned away. Event loop only.
package struct AccessGate {
    private var policy: AccessPolicy
    /// Of the policy: what was granted under another one is not looked up in this one.
    private var edition: Int32 = 0
    /// One a token, in the order of the policy's.
    private var meters: [RateMeter]
    private let digest: (ByteView) -> TokenDigest?
    /// Requests turned away since the start.
    package private(set) var deniedCounts: [AccessDenial: Int] = [:]

    /// - Parameter digest: SHA-256, which this target does not know.
    package init(policy: AccessPolicy, digest: @escaping (ByteView) -> TokenDigest?) {
        self.policy = policy
        self.digest = digest
        meters = Array(repeating: RateMeter(), count: policy.tokens?.tokens.count ?? 0)
    }

    /// Takes a changed policy. A token that keeps its name keeps what its senders have used of its rate.
    package mutating func replace(_ new: AccessPolicy) {
        var used: [String: RateMeter] = [:]
        for (token, meter) in zip(policy.tokens?.tokens ?? [], meters) { used[token.name] = meter }
        policy = new
        edition &+= 1
        meters = (new.tokens?.tokens ?? []).map { used[$0.name] ?? RateMeter() }
    }

    func isCurrent(_ grant: HTTPGrant) -> Bool { grant.edition == edition }

    /// The token that a request came with; `nil` without one.
    func token(of grant: HTTPGrant) -> AccessToken? {
        grant.place < 0 || !isCurrent(grant) ? nil : policy.tokens?.tokens[Int(grant.place)]
    }

    /// A grant without a token depends on the head, the door and the policy alone; one with a token also on its rate.
    private func grant(_ place: Int?) -> HTTPGrant {
        HTTPGrant(place: place.map { Int32($0) } ?? -1, edition: edition, isLasting: place == nil)
    }

    /// Decides on a request that wants `scope`; `nil` is what everybody may have.
    ///
    /// - Parameter now: asked for only where a rate is looked at.
    mutating func admit(_ head: HTTPHead, scope: AccessScope?, now: @autoclosure () -> MonotonicTime) -> HTTPAdmission {
        guard let scope else { return .admitted(grant(nil)) }
        switch decide(head, scope: scope) {
        case .denied(let denial):
            deniedCounts[denial, default: 0] += 1
            return .refused(Self.answer(to: denial, scope: scope))
        case .allowed(let place):
            guard scope == .ingest, let place, let rate = token(of: grant(place))?.rate,
                let wait = meters[place].wait(rate, now: now())
            else { return .admitted(grant(place)) }
            return .refused(Self.answer(toOneWhoWaits: wait, rate))
        }
    }

    /// So many records came in with this token, if with one.
    mutating func charge(_ recordCount: Int, token grant: HTTPGrant, now: @autoclosure () -> MonotonicTime) {
        guard let rate = token(of: grant)?.rate else { return }
        meters[Int(grant.place)].charge(recordCount, rate, now: now())
    }

    private func decide(_ request: HTTPHead, scope: AccessScope) -> AccessPolicy.Decision {
        let door: AccessDoor =
            switch request.door {
            case .socket: .socket
            case .loopback: .loopback
            case .network: .network
            case .certified: .certified
            }
        // Asked for every post: no header is looked for that cannot matter.
        let asksToken = policy.tokens != nil
        var head = AccessHead(door: door, isSafe: request.method == .get || request.method == .head)
        if door == .socket {
            // None matters.
        } else if asksToken {
            head.authorization = request.header(.authorization)?.bytes
        } else {
            head.host = request.header(.host)?.bytes
            if !head.isSafe {
                head.origin = request.header(.origin)?.bytes
                head.fetchSite = request.header(.fetchSite)?.bytes
            }
        }
        return policy.decide(head, scope: scope, digest: digest)
    }

    /// RFC 6750, section 3, for the challenges. A token that is missing gets no error code, as that section wants.
    private static func answer(to denial: AccessDenial, scope: AccessScope) -> HTTPAnswer {
        switch denial {
        case .tokenMissing:
            .problem(
                .unauthorized,
                "This needs a token: send the header Authorization: Bearer TOKEN; logboom token new makes one.",
                headers: [("WWW-Authenticate", "Bearer realm=\"logboom\"")]
            )
        case .tokenUnknown:
            .problem(
                .unauthorized,
                "This token is not known here; it may have been revoked.",
                headers: [("WWW-Authenticate", "Bearer realm=\"logboom\", error=\"invalid_token\"")]
            )
        case .scope:
            .problem(
                .forbidden,
                "This token is not good for this: the scope \(scope.rawValue) is needed.",
                headers: [
                    (
                        "WWW-Authenticate",
                        "Bearer realm=\"logboom\", error=\"insufficient_scope\", scope=\"\(scope.rawValue)\""
                    )
                ]
            )
        case .host:
            .problem(
                .misdirectedRequest,
                "The Host of this request is not a name of this machine; HOST_NAMES takes more than localhost."
            )
        case .crossSite:
            .problem(.forbidden, "A page of another site may not send this.")
        }
    }

    private static func answer(toOneWhoWaits wait: Duration, _ rate: RateLimit) -> HTTPAnswer {
        // Whole seconds (RFC 9110, section 10.2.3), and never none.
        let seconds = max(1, (wait.nanoseconds + 999_999_999) / 1_000_000_000)
        return .problem(
            .tooManyRequests,
            "This token is good for \(rate.perSecond) records a second; send again later.",
            headers: [("Retry-After", String(seconds))]
        )
    }
}
