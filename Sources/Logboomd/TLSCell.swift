internal import HTTPSource
internal import LogModel
internal import NIOCore
internal import Settings
internal import TLSServing
internal import Telemetry

/// The certificate that is in force, and what becomes of handshakes.
///
/// `@unchecked Sendable`: made on the main thread before the first connection; from then on used on the event loop only, but for
/// ``readAgain()``, which looks at what never changes.
final class TLSCell: @unchecked Sendable {
    /// Of all identities of this process: another path needs a restart.
    private let files: TLSIdentity.Files
    private var identity: TLSIdentity
    private(set) var figures = TLSFigures()

    private init(_ identity: TLSIdentity) {
        files = identity.files
        self.identity = identity
        figures.expirySecond = identity.expirySecond
    }

    /// `nil` without settings for it.
    static func start(_ settings: TLSSettings?, log: Log) throws(StartError) -> TLSCell? {
        guard let settings else { return nil }
        let files = TLSIdentity.Files(
            certificate: settings.certificate,
            key: settings.key,
            clientAuthority: settings.clientAuthority
        )
        do throws(TLSIdentity.Problem) {
            let identity = try TLSIdentity(files, now: now())
            // With one that has expired the daemon starts all the same: records that come in on this machine are not to be lost
            // for it, and a clock that is wrong at boot would look the same.
            switch identity.remark {
            case .warning(let text): log.warning(text)
            case .expired(let text): log.error(text)
            case nil: break
            }
            return TLSCell(identity)
        } catch {
            throw StartError(description: error.description, exitCode: SettingsProblems.exitCode)
        }
    }

    var asksCertificate: Bool { files.clientAuthority != nil }

    /// Validity is held against a clock that can be believed only.
    private static func now() -> Int? {
        let time = EventLoopScheduler.wallClock()
        return time >= .earliestPlausible ? Int(time.nanoseconds / 1_000_000_000) : nil
    }

    /// Reads the files as they are now. Blocks on the disk.
    func readAgain() -> Result<TLSIdentity, TLSIdentity.Problem> {
        do throws(TLSIdentity.Problem) {
            return .success(try TLSIdentity(files, now: Self.now()))
        } catch {
            return .failure(error)
        }
    }

    /// Takes what was read, for the connections that come from now on; what is broken changes nothing.
    func apply(_ result: Result<TLSIdentity, TLSIdentity.Problem>, _ log: Log) {
        let new: TLSIdentity
        switch result {
        case .failure(let problem): return log.error("the old certificate stays: \(problem)")
        case .success(let identity): new = identity
        }
        switch new.remark {
        case .expired(let text): return log.error("the old certificate stays: \(text)")
        case .warning(let text): log.warning(text)
        case nil: break
        }
        identity = new
        figures.expirySecond = new.expirySecond
        log.info("certificate read again: \(new.files.certificate)")
    }

    /// For one connection.
    func makeHandlers() -> [any ChannelHandler] {
        identity.makeHandlers(
            TLSHandshakeWatch.Reports(
                completed: { [self] in figures.handshakeCount += 1 },
                failed: { [self] in figures.failureCount += 1 }
            )
        )
    }
}
