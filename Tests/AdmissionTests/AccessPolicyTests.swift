import LogModel
import Testing

@testable import Admission

/// Who may do what: the whole decision, from values.
struct AccessPolicyTests {
    /// A request's head; the texts are what the headers hold.
    private struct Sender {
        var door = AccessDoor.loopback
        var isSafe = false
        var host: String? = "localhost:8004"
        var origin: String?
        var site: String?
        var authorization: String?
    }

    private static let tokens = TokenSet([
        AccessToken(name: "in", digest: digest(1), scopes: AccessScopes([.ingest])),
        AccessToken(name: "out", digest: digest(2), scopes: AccessScopes([.read])),
        AccessToken(name: "all", digest: digest(3), scopes: .all),
    ])

    /// The token `1` has the digest of ones, and so on.
    private func decide(
        _ policy: AccessPolicy,
        _ scope: AccessScope?,
        _ sender: Sender
    ) -> AccessPolicy.Decision {
        func with<Value>(_ text: String?, _ body: (ByteView?) -> Value) -> Value {
            guard var text else { return body(nil) }
            return text.withUTF8 { body($0) }
        }
        return with(sender.host) { host in
            with(sender.origin) { origin in
                with(sender.site) { site in
                    with(sender.authorization) { authorization in
                        var head = AccessHead(door: sender.door, isSafe: sender.isSafe)
                        (head.host, head.origin, head.fetchSite) = (host, origin, site)
                        head.authorization = authorization
                        return policy.decide(head, scope: scope) { $0.count == 1 ? digest($0[0] - 0x30) : digest(0xEE) }
                    }
                }
            }
        }
    }

    private let open = AccessPolicy()
    private let closed = AccessPolicy(tokens: tokens)
    private let allowed = AccessPolicy.Decision.allowed(token: nil)

    // MARK: Without tokens

    @Test(arguments: AccessScope.allCases)
    func `a program of this machine may do everything over loopback and the unix socket`(_ scope: AccessScope) {
        for door in [AccessDoor.loopback, .socket] {
            #expect(decide(open, scope, Sender(door: door)) == allowed)
        }
    }

    @Test(arguments: [
        "localhost", "localhost:8004", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8004", "[::1]", "[::1]:8004",
        "192.168.1.7",
        "app.localhost", "pi", "PI:8004", "pi.lan", "x", "xlocalhost", "raspberrypi:8004", "my_pi-2",
    ])
    func `a name of this machine is served`(_ host: String) {
        let policy = AccessPolicy(hostNames: ["pi", "Pi.lan"])
        for isSafe in [true, false] {
            #expect(decide(policy, .read, Sender(isSafe: isSafe, host: host)) == allowed)
        }
    }

    @Test(arguments: [
        "attacker.example", "attacker.example:8004", "127.0.0.1.attacker.example", "localhost.attacker.example",
        ".localhost.", "127.0.0", "1.2.3.4.5", "1.2.3.x", "1..2.3", ".1.2.3", "1.2.3.", "1234.1.1.1",
        "127.0.0.1:8004.attacker.example", "[::1].attacker.example",
        "[attacker.example]", "", ":8004", "pi.attacker.example", "localhost:x",
    ])
    func `a page whose name was made to lead to this machine is turned away, also when it only reads`(_ host: String) {
        let policy = AccessPolicy(hostNames: ["pi", "pi.lan"])
        for isSafe in [true, false] {
            #expect(decide(policy, .read, Sender(isSafe: isSafe, host: host)) == .denied(.host), "\(host)")
        }
    }

    @Test func `whoever sends no Host, as HTTP 1.0 does, is no browser`() {
        #expect(decide(open, .ingest, Sender(host: nil)) == allowed)
    }

    @Test func `a browser may not post for another site's page`() {
        for site in ["cross-site", "same-site", "anything"] {
            #expect(decide(open, .ingest, Sender(site: site)) == .denied(.crossSite))
            #expect(decide(open, .read, Sender(isSafe: true, site: site)) == allowed, "it cannot read the answer")
        }
        for origin in [
            "http://attacker.example", "null", "http://localhost:1880", "http://localhost", "localhost:8004", "",
        ] {
            #expect(decide(open, .admin, Sender(origin: origin)) == .denied(.crossSite), "\(origin)")
        }
    }

    @Test func `a page that came from here may post`() {
        for site in ["same-origin", "none", "Same-Origin"] {
            #expect(decide(open, .ingest, Sender(site: site)) == allowed)
        }
        #expect(decide(open, .ingest, Sender(origin: "http://localhost:8004")) == allowed)
        #expect(decide(open, .ingest, Sender(origin: "https://LOCALHOST:8004", site: "same-origin")) == allowed)
        #expect(decide(open, .ingest, Sender(host: nil, origin: "http://localhost:8004")) == .denied(.crossSite))
    }

    @Test func `a port that was opened in writing is open, under every name, but not to other sites' pages`() {
        #expect(decide(open, .ingest, Sender(door: .network, host: "gateway.lan")) == allowed)
        #expect(
            decide(open, .ingest, Sender(door: .network, host: "gateway.lan", origin: "http://a"))
                == .denied(.crossSite)
        )
    }

    @Test func `a verified certificate is enough, and a browser that has one still posts for nobody else`() {
        #expect(decide(open, .admin, Sender(door: .certified, host: "x")) == allowed)
        let forAnother = Sender(door: .certified, host: "x", origin: "https://attacker.example", site: "cross-site")
        #expect(decide(open, .admin, forAnother) == .denied(.crossSite))
    }

    // MARK: With tokens

    @Test(arguments: [AccessDoor.loopback, .network, .certified])
    func `with tokens every port asks for one that is good for it`(_ door: AccessDoor) {
        func decision(_ scope: AccessScope, _ authorization: String?) -> AccessPolicy.Decision {
            decide(closed, scope, Sender(door: door, host: "any", authorization: authorization))
        }
        #expect(decision(.ingest, "Bearer 1") == .allowed(token: 0))
        #expect(decision(.read, "bearer  2 ") == .allowed(token: 1))
        for scope in AccessScope.allCases { #expect(decision(scope, "BEARER 3") == .allowed(token: 2)) }
        #expect(decision(.read, "Bearer 1") == .denied(.scope))
        #expect(decision(.ingest, "Bearer 2") == .denied(.scope))
        #expect(decision(.admin, "Bearer 2") == .denied(.scope))
        #expect(decision(.ingest, "Bearer 4") == .denied(.tokenUnknown))
        #expect(decision(.ingest, "Bearer 11") == .denied(.tokenUnknown))
        for missing in [nil, "", "Bearer", "Bearer ", "Basic MTox", "1", "Bearer\t1"] {
            #expect(decision(.ingest, missing) == .denied(.tokenMissing), "\(missing ?? "none")")
        }
    }

    @Test func `a token that is too long to be one is not hashed`() {
        var hashedCount = 0
        for count in [TokenSet.tokenByteCountMax, TokenSet.tokenByteCountMax + 1] {
            var text = "Bearer " + String(repeating: "x", count: count)
            text.withUTF8 { view in
                var head = AccessHead(door: .network, isSafe: true)
                head.authorization = view
                let decision = closed.decide(head, scope: .read) { _ in
                    hashedCount += 1
                    return digest(9)
                }
                #expect(decision == .denied(.tokenUnknown))
            }
        }
        #expect(hashedCount == 1)
    }

    @Test func `a token keeps browsers out by itself, so no name is asked for`() {
        let sender = Sender(host: "pi.example.org", origin: "http://a", site: "cross-site", authorization: "Bearer 1")
        #expect(decide(closed, .ingest, sender) == .allowed(token: 0))
    }

    @Test func `the unix socket asks for no token: its mode is the check`() {
        #expect(decide(closed, .admin, Sender(door: .socket, host: "x")) == allowed)
    }

    @Test func `an empty set of tokens lets nobody in`() {
        let policy = AccessPolicy(tokens: TokenSet([]))
        for door in [AccessDoor.loopback, .network, .certified] {
            #expect(decide(policy, .read, Sender(door: door, authorization: "Bearer 1")) == .denied(.tokenUnknown))
        }
    }

    @Test(arguments: AccessDoor.allCases)
    func `what needs no scope is open at every door`(_ door: AccessDoor) {
        #expect(decide(closed, nil, Sender(door: door, host: "attacker.example")) == allowed)
    }
}
