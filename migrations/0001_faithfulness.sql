CREATE TABLE "engine"."faithfulness" (
	"artifact_hash" text NOT NULL,
	"engine_version" integer NOT NULL,
	"measure" text NOT NULL,
	"value" double precision NOT NULL,
	"low" double precision,
	"high" double precision,
	"unit" text NOT NULL,
	"seed_count" integer NOT NULL,
	"conditions" text NOT NULL,
	CONSTRAINT "faithfulness_artifact_hash_engine_version_measure_pk" PRIMARY KEY("artifact_hash","engine_version","measure")
);
