internal import Glibc
internal import HTTPServing
internal import NIOCore
internal import Settings
internal import SystemdNotify
internal import Telemetry

/// A listening socket that systemd opened for this process (`logboomd.socket`, sd_listen_fds(3)).
struct PassedSocket {
    var name: String
    var descriptor: CInt
    /// `nil`: not a socket on which HTTP could be served.
    var address: ListenAddress?

    /// Those of this process. Call once: the descriptors belong to whoever takes them.
    static func all() -> [PassedSocket] {
        SystemdNotify.listenDescriptors().map { name, descriptor in
            let address = HTTPServer.listeningAddress(of: descriptor).map { ListenAddress($0) }
            return PassedSocket(name: name, descriptor: descriptor, address: address)
        }
    }
}

/// Opens what `LISTEN` names, on sockets passed by systemd as far as these have the same addresses.
///
/// A passed socket that `LISTEN` does not name is served too: systemd goes on holding it whatever this process does, and who
/// connects to a socket that nobody reads waits for ever.
enum Listening {
    /// The addresses as texts, in the order of `LISTEN`, then those that only systemd named.
    static func open(
        _ settings: Settings,
        passed: [PassedSocket],
        on server: HTTPServer,
        tls: TLSCell?,
        log: Log
    ) throws(StartError) -> [String] {
        var texts: [String] = []
        var left: [(address: ListenAddress, descriptor: CInt)] = []
        for socket in passed {
            guard let address = socket.address else {
                log.warning("a socket passed by systemd as \(socket.name) is not one that listens: it is not used")
                close(socket.descriptor)
                continue
            }
            guard
                address.isLoopback || settings.isInsecureAllowed || settings.access.tokens != nil
                    || tls?.asksCertificate == true
            else {
                throw StartError(
                    description:
                        "systemd passed a socket on \(address), which other machines can reach; as in LISTEN, that "
                        + "needs tokens (TOKENS_FILE), certificates of clients (TLS_CLIENT_CA) or ALLOW_INSECURE",
                    exitCode: EX_CONFIG
                )
            }
            left.append((address, socket.descriptor))
        }
        let held = left.map(\.address)
        for wanted in settings.listen {
            let socket = left.firstIndex { wanted.isServed(by: $0.address) }.map { left.remove(at: $0) }
            let cell = wanted.speaksTLS ? tls : nil
            texts.append(
                try open(socket?.address ?? wanted, descriptor: socket?.descriptor, on: server, tls: cell, held: held)
            )
        }
        for socket in left {
            let cell = socket.address.speaksTLS ? tls : nil
            texts.append(try open(socket.address, descriptor: socket.descriptor, on: server, tls: cell, held: held))
            log.notice(
                "\(socket.address) is served because systemd holds it (logboomd.socket); LISTEN does not name it"
            )
        }
        return texts
    }

    private static func open(
        _ address: ListenAddress,
        descriptor: CInt?,
        on server: HTTPServer,
        tls: TLSCell?,
        held: [ListenAddress]
    ) throws(StartError) -> String {
        let target: HTTPServer.Address =
            switch address {
            case .tcp(let host, let port), .tls(let host, let port): .tcp(host: host, port: port)
            case .unix(let path): .unix(path: path)
            }
        let wrap: HTTPServer.Wrapper? = tls.map { cell in
            { @Sendable channel in try channel.pipeline.syncOperations.addHandlers(cell.makeHandlers()) }
        }
        do throws(HTTPServer.ListenError) {
            let door = door(of: address, tls: tls)
            let port = try server.listen(on: target, door: door, wrap: wrap, descriptor: descriptor)
            let scheme = tls == nil ? "" : "tls:"
            guard case .tcp(let host, 0) = target else { return scheme + HTTPServer.text(target) }
            return scheme + HTTPServer.text(.tcp(host: host, port: port))
        } catch {
            throw StartError(description: error.description + advice(error, address, held), exitCode: EX_UNAVAILABLE)
        }
    }

    private static func door(of address: ListenAddress, tls: TLSCell?) -> HTTPDoor {
        switch address {
        case .unix: .socket
        case .tcp, .tls:
            if let tls, tls.asksCertificate { .certified } else { address.isLoopback ? .loopback : .network }
        }
    }

    private static func advice(_ error: HTTPServer.ListenError, _ address: ListenAddress, _ held: [ListenAddress])
        -> String
    {
        guard error.isInUse else { return "" }
        guard let port = address.port, let holder = held.first(where: { $0.port == port }) else {
            return "; is logboomd running already? Another LISTEN makes room"
        }
        return
            "; logboomd.socket holds \(holder), which leaves no room for a wider address on that port. Name the address "
            + "there: systemctl edit logboomd.socket, and in section [Socket] the lines ListenStream= and "
            + "ListenStream=\(address)"
    }
}

extension ListenAddress {
    fileprivate init(_ address: HTTPServer.Address) {
        switch address {
        case .tcp(let host, let port): self = .tcp(host: host, port: port)
        case .unix(let path): self = .unix(path: path)
        }
    }
}
