internal import Glibc
package import NIOCore
internal import NIOSSL

/// What a listener shows of itself, and whom it asks to do the same: certificate chain, key, and the authority of client
/// certificates, checked and ready. Immutable; a reload makes another one, and connections keep the one they began with.
///
/// Nothing of the TLS library runs, and none of its pages are touched, before the first of these is made.
package struct TLSIdentity: Sendable {
    /// Where the parts are, as PEM files.
    package struct Files: Sendable, Equatable {
        /// The server's own certificate first, then those that lead to its authority.
        package var certificate: String
        package var key: String
        /// Certificates that vouch for clients; `nil`: clients need none.
        package var clientAuthority: String?

        package init(certificate: String, key: String, clientAuthority: String?) {
            self.certificate = certificate
            self.key = key
            self.clientAuthority = clientAuthority
        }
    }

    /// Why there is no identity, as a sentence with what to do. Holds nothing of a key.
    package struct Problem: Error, Sendable, Equatable, CustomStringConvertible {
        package let description: String
    }

    /// Before this much of its life is left, a certificate is worth a warning.
    private static let warningSeconds = 14 * 86_400

    /// What is to be said of a certificate that can be used and should not be, or not for long.
    package enum Remark: Sendable, Equatable {
        /// It ends soon, or has not begun.
        case warning(String)
        /// It has ended: those who check will not come in.
        case expired(String)
    }

    package let files: Files
    package let remark: Remark?
    /// When the server's own certificate ends, in seconds since 1970.
    package let expirySecond: Int
    private let context: NIOSSLContext

    /// Reads and checks the files. Blocks on the disk.
    ///
    /// - Parameters:
    ///   - now: seconds since 1970, to hold validity against; `nil` when the clock is not known to be right: then nothing is said
    ///     about it.
    package init(_ files: Files, now: Int?) throws(Problem) {
        self.files = files
        let chain = try Self.certificates(files.certificate, named: "certificate")
        let key = try Self.key(files.key)
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) },
            privateKey: .privateKey(key)
        )
        // RFC 8996 ends the life of what is older.
        configuration.minimumTLSVersion = .tlsv12
        configuration.trustRoots = .certificates([])
        // For clients that ask, and so that nobody takes this port for one of another protocol (RFC 7301).
        configuration.applicationProtocols = ["http/1.1"]
        // A close is said to the client and not waited for, as on a plain connection: waiting would keep sockets past their bound.
        configuration.shutdownTimeout = .zero
        if let path = files.clientAuthority {
            configuration.trustRoots = .certificates(
                try Self.certificates(path, named: "authority of client certificates")
            )
            // A client's name is not a host's.
            configuration.certificateVerification = .noHostnameVerification
            configuration.sendCANameList = true
        }
        do {
            context = try NIOSSLContext(configuration: configuration)
        } catch {
            // All files could be read by themselves; what is left is that they do not fit.
            throw Problem(
                description:
                    "the key \(files.key) is not that of the certificate \(files.certificate), or is of a kind that is "
                    + "not supported: use the key with which the certificate was requested"
            )
        }
        expirySecond = chain.first.map { Int($0.notValidAfter) } ?? 0
        remark =
            if let now, let first = chain.first {
                Self.remark(
                    on: files.certificate,
                    from: Int(first.notValidBefore),
                    to: Int(first.notValidAfter),
                    at: now
                )
            } else {
                nil
            }
    }

    /// The handlers of one connection, to stand before all others: a word to those who came with plain HTTP, TLS, and the end of
    /// a handshake that takes too long.
    package func makeHandlers(_ watch: TLSHandshakeWatch.Reports) -> [any ChannelHandler] {
        [PlainRequestGuard(), NIOSSLServerHandler(context: context), TLSHandshakeWatch(watch)]
    }

    private static func certificates(_ path: String, named what: String) throws(Problem) -> [NIOSSLCertificate] {
        let bytes = try read(path)
        do {
            let certificates = try NIOSSLCertificate.fromPEMBytes(bytes)
            if !certificates.isEmpty { return certificates }
        } catch {
            // Said below: what the library knows of it is a number.
        }
        throw Problem(
            description:
                "the \(what) \(path) holds no certificate in PEM form, which begins with -----BEGIN CERTIFICATE-----"
        )
    }

    private static func key(_ path: String) throws(Problem) -> NIOSSLPrivateKey {
        let bytes = try read(path, isSecret: true)
        do {
            return try NIOSSLPrivateKey(bytes: bytes, format: .pem)
        } catch {
            throw Problem(
                description: "the key \(path) holds no private key in PEM form that can be used without a passphrase; "
                    + "openssl pkey -in FILE -out NEW takes one away"
            )
        }
    }

    private static func remark(on path: String, from begin: Int, to end: Int, at now: Int) -> Remark? {
        if now >= end {
            return .expired("the certificate \(path) expired \(days(now - end)) ago: renew it, and reload")
        }
        if now < begin {
            return .warning(
                "the certificate \(path) is not valid before \(days(begin - now)) from now: is the clock right?"
            )
        }
        if end - now < warningSeconds {
            return .warning("the certificate \(path) expires in \(days(end - now)): renew it, and reload")
        }
        return nil
    }

    private static func days(_ seconds: Int) -> String {
        switch seconds / 86_400 {
        case 0: "\(seconds / 3600) hours"
        case 1: "1 day"
        case let days: "\(days) days"
        }
    }

    /// Far above any chain; more is the wrong file.
    private static let fileByteCountMax = 1 << 20

    /// The whole of a regular file.
    ///
    /// - Parameter isSecret: refuses one that everybody may read.
    private static func read(_ path: String, isSecret: Bool = false) throws(Problem) -> [UInt8] {
        func problem(_ code: Int32) -> Problem {
            Problem(description: "read \(path): \(String(cString: strerror(code)))")
        }
        // A pipe in the place of a file does not hold up the start.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw problem(errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw problem(errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw Problem(description: "read \(path): it is no file") }
        if isSecret, status.st_mode & 0o006 != 0 {
            throw Problem(
                description:
                    "the key \(path) can be read by every user of this machine: chmod 640, or 600, and its owner or "
                    + "group that of the daemon"
            )
        }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw problem(errno) }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            guard bytes.count <= fileByteCountMax else {
                throw Problem(description: "read \(path): it is larger than \(fileByteCountMax) bytes")
            }
        }
    }
}
