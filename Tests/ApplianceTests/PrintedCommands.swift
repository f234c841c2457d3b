/// The commands and clients printed in the two documents this service answers to, letter for letter: log-aggregator (port
/// 8004) and log-ingest-service (port 3002). Tests replace the address and nothing else.
enum PrintedCommands {
    // MARK: log-aggregator

    /// "Single Log Ingestion".
    static let aggregatorSingle = #"""
        curl -X POST http://localhost:8004/ingest \
          -H "Content-Type: application/json" \
          -d '{
            "message": "User login successful",
            "level": "INFO",
            "source": "auth-service",
            "metadata": {"user_id": "123", "ip": "10.0.1.50"}
          }'
        """#

    /// "Batch Log Ingestion".
    static let aggregatorBatch = #"""
        curl -X POST http://localhost:8004/ingest/batch \
          -H "Content-Type: application/json" \
          -d '{
            "logs": [
              {
                "message": "Database query executed",
                "level": "DEBUG",
                "source": "db-service",
                "metadata": {"query_time": "0.05s"}
              },
              {
                "message": "Cache miss for key xyz",
                "level": "WARN",
                "source": "cache-service",
                "metadata": {"key": "user:xyz"}
              }
            ]
          }'
        """#

    /// "Get Statistics".
    static let aggregatorStatistics = #"""
        curl http://localhost:8004/stats
        """#

    // MARK: log-ingest-service

    /// `GET /health`.
    static let serviceHealth = #"""
        curl http://localhost:3002/health | jq .
        """#

    /// `GET /stats`.
    static let serviceStatistics = #"""
        curl http://localhost:3002/stats | jq .
        """#

    /// "Single log".
    static let serviceSingle = #"""
        curl -X POST http://localhost:3002/logs/ingest \
          -H 'Content-Type: application/json' \
          -d '{
            "org": "acme",
            "service": "api",
            "level": "ERROR",
            "message": "Connection timeout after 30s"
          }' | jq .
        """#

    /// "Batch".
    static let serviceBatch = #"""
        curl -X POST http://localhost:3002/logs/ingest \
          -H 'Content-Type: application/json' \
          -d '{
            "logs": [
              {"org": "acme", "message": "ERROR: test1", "level": "ERROR"},
              {"org": "acme", "message": "WARN: test2", "level": "WARN"},
              {"org": "acme", "message": "INFO: test3", "level": "INFO"}
            ]
          }' | jq .
        """#

    /// "Large batch".
    static let serviceLargeBatch = #"""
        # Generate 2000 logs
        python3 << 'EOF' > /tmp/large_batch.json
        import json
        logs = [{"org": "acme", "message": f"ERROR: message {i}"} for i in range(2000)]
        print(json.dumps({"logs": logs}))
        EOF

        # Send to service
        curl -X POST http://localhost:3002/logs/ingest \
          -H 'Content-Type: application/json' \
          -d @/tmp/large_batch.json | jq .
        """#

    /// "Health Check Monitoring": has no end.
    static let serviceUptime = #"""
        # Simple uptime monitoring
        while true; do
          curl -f http://localhost:3002/health || echo "Service down!"
          sleep 10
        done
        """#

    /// "High Memory Usage": "Monitor template count".
    static let serviceTemplateCount = #"""
        curl http://localhost:3002/stats
        """#

    /// "Python Client".
    static let servicePython = #"""
        import requests
        from typing import List, Dict, Optional

        class LogIngestClient:
            def __init__(self, base_url="http://localhost:3002"):
                self.base_url = base_url

            def ingest_single(
                self,
                org: str,
                message: str,
                level: str = "INFO",
                service: Optional[str] = None,
                **kwargs
            ) -> Dict:
                """Ingest a single log"""
                payload = {
                    "org": org,
                    "message": message,
                    "level": level,
                    **kwargs
                }
                if service:
                    payload["service"] = service

                response = requests.post(
                    f"{self.base_url}/logs/ingest",
                    json=payload
                )
                return response.json()

            def ingest_batch(self, logs: List[Dict]) -> Dict:
                """Ingest multiple logs"""
                response = requests.post(
                    f"{self.base_url}/logs/ingest",
                    json={"logs": logs}
                )
                return response.json()

            def health(self) -> Dict:
                """Check service health"""
                response = requests.get(f"{self.base_url}/health")
                return response.json()

        # Usage
        client = LogIngestClient()

        # Single log
        result = client.ingest_single(
            org="acme",
            service="api-server",
            level="ERROR",
            message="Connection timeout after 30s"
        )
        print(f"Ingested: {result['accepted']}, Matched: {result['matched']}")

        # Batch
        logs = [
            {"org": "acme", "message": "ERROR: test1", "level": "ERROR"},
            {"org": "acme", "message": "WARN: test2", "level": "WARN"},
            {"org": "acme", "message": "INFO: test3", "level": "INFO"}
        ]
        result = client.ingest_batch(logs)
        print(f"Ingested: {result['accepted']}, Matched: {result['matched']}")
        """#

    /// "Node.js Client".
    static let serviceNode = #"""
        const axios = require('axios');

        class LogIngestClient {
          constructor(baseUrl = 'http://localhost:3002') {
            this.baseUrl = baseUrl;
          }

          async ingestSingle({ org, message, level = 'INFO', ...rest }) {
            const response = await axios.post(`${this.baseUrl}/logs/ingest`, {
              org,
              message,
              level,
              ...rest
            });
            return response.data;
          }

          async ingestBatch(logs) {
            const response = await axios.post(`${this.baseUrl}/logs/ingest`, {
              logs
            });
            return response.data;
          }

          async health() {
            const response = await axios.get(`${this.baseUrl}/health`);
            return response.data;
          }
        }

        // Usage
        const client = new LogIngestClient();

        (async () => {
          // Single log
          const result = await client.ingestSingle({
            org: 'acme',
            service: 'api-server',
            level: 'ERROR',
            message: 'Connection timeout after 30s'
          });
          console.log(`Ingested: ${result.accepted}, Matched: ${result.matched}`);

          // Batch
          const logs = [
            { org: 'acme', message: 'ERROR: test1', level: 'ERROR' },
            { org: 'acme', message: 'WARN: test2', level: 'WARN' },
            { org: 'acme', message: 'INFO: test3', level: 'INFO' }
          ];
          const batchResult = await client.ingestBatch(logs);
          console.log(`Ingested: ${batchResult.accepted}, Matched: ${batchResult.matched}`);
        })();
        """#
}
