// Generated from crds/ by src/api/generate.ts. Change the YAML there, then run `node src/api/generate.ts`.

import type { Kind, KindSchemas } from './schema-node.ts';

export const schemas: Readonly<Record<Kind, KindSchemas>> = {
 "ServiceRegistration": {
  "spec": {
   "type": "object",
   "required": [
    "registryRef"
   ],
   "x-kubernetes-validations": [
    {
     "rule": "has(self.serviceRef) != has(self.selector)",
     "message": "give exactly one of serviceRef and selector"
    },
    {
     "rule": "!has(self.ports) || size(self.ports) < 2 || self.name.contains('{port}')",
     "message": "several ports need {port} in name, or they would stand under one name"
    }
   ],
   "properties": {
    "registryRef": {
     "type": "object",
     "required": [
      "name"
     ],
     "x-kubernetes-validations": [
      {
       "rule": "self == oldSelf",
       "message": "registryRef cannot be changed: make a new registration and delete this one"
      }
     ],
     "properties": {
      "kind": {
       "type": "string",
       "enum": [
        "ClusterRegistry",
        "Registry"
       ],
       "default": "ClusterRegistry"
      },
      "name": {
       "type": "string",
       "minLength": 1,
       "maxLength": 253,
       "x-kubernetes-validations": [
        {
         "rule": "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
         "message": "a registry has a lower-case DNS name"
        }
       ]
      }
     },
     "additionalProperties": false
    },
    "serviceRef": {
     "type": "object",
     "required": [
      "name"
     ],
     "properties": {
      "name": {
       "type": "string",
       "minLength": 1,
       "maxLength": 63,
       "x-kubernetes-validations": [
        {
         "rule": "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
         "message": "a Service has a lower-case DNS label for a name"
        }
       ]
      }
     },
     "additionalProperties": false
    },
    "selector": {
     "type": "object",
     "properties": {
      "matchLabels": {
       "type": "object",
       "maxProperties": 16,
       "x-kubernetes-validations": [
        {
         "rule": "self.all(k, k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$'))",
         "message": "a label key is [prefix/]name, the name of letters, digits, \"-\", \"_\" and \".\""
        }
       ],
       "additionalProperties": {
        "type": "string",
        "maxLength": 63,
        "x-kubernetes-validations": [
         {
          "rule": "self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",
          "message": "a label value begins and ends with a letter or digit and has only letters, digits, \"-\", \"_\" and \".\" between"
         }
        ]
       }
      },
      "matchExpressions": {
       "type": "array",
       "maxItems": 16,
       "items": {
        "type": "object",
        "required": [
         "key",
         "operator"
        ],
        "x-kubernetes-validations": [
         {
          "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
          "message": "In and NotIn need values; Exists and DoesNotExist take none"
         }
        ],
        "properties": {
         "key": {
          "type": "string",
          "minLength": 1,
          "maxLength": 317,
          "x-kubernetes-validations": [
           {
            "rule": "self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",
            "message": "a label key is [prefix/]name, the name of letters, digits, \"-\", \"_\" and \".\""
           }
          ]
         },
         "operator": {
          "type": "string",
          "enum": [
           "In",
           "NotIn",
           "Exists",
           "DoesNotExist"
          ]
         },
         "values": {
          "type": "array",
          "maxItems": 32,
          "items": {
           "type": "string",
           "maxLength": 63,
           "x-kubernetes-validations": [
            {
             "rule": "self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",
             "message": "a label value begins and ends with a letter or digit and has only letters, digits, \"-\", \"_\" and \".\" between"
            }
           ]
          }
         }
        },
        "additionalProperties": false
       }
      }
     },
     "additionalProperties": false
    },
    "name": {
     "type": "string",
     "minLength": 1,
     "maxLength": 253,
     "default": "{service}",
     "x-kubernetes-validations": [
      {
       "rule": "self.matches('^([^{}]|[{](service|namespace|cluster|port)[}])+$')",
       "message": "the only placeholders of a name are {service} {namespace} {cluster} {port}"
      }
     ]
    },
    "mergeName": {
     "type": "boolean",
     "default": false
    },
    "ports": {
     "type": "array",
     "minItems": 1,
     "maxItems": 32,
     "x-kubernetes-validations": [
      {
       "rule": "self.all(a, self.exists_one(b, a == b))",
       "message": "the same port is listed twice"
      }
     ],
     "items": {
      "x-kubernetes-int-or-string": true,
      "maxLength": 63,
      "x-kubernetes-validations": [
       {
        "rule": "type(self) == int ? (self >= 1 && self <= 65535) : self.matches('^[a-z0-9-]*[a-z][a-z0-9-]*$')",
        "message": "a port is a number from 1 to 65535, or a name of a-z, 0-9 and \"-\" with a letter in it"
       }
      ],
      "type": [
       "integer",
       "string"
      ]
     }
    },
    "addressType": {
     "type": "string",
     "enum": [
      "Endpoints",
      "ClusterIP",
      "NodePort",
      "LoadBalancer",
      "ExternalName",
      "Auto"
     ],
     "default": "Endpoints"
    },
    "tags": {
     "type": "array",
     "maxItems": 64,
     "items": {
      "type": "string",
      "minLength": 1,
      "maxLength": 253
     },
     "uniqueItems": true
    },
    "metadata": {
     "type": "object",
     "maxProperties": 64,
     "x-kubernetes-validations": [
      {
       "rule": "self.all(k, k != 'managed-by' && !k.startsWith('roster-'))",
       "message": "the metadata keys managed-by and roster-* mark what is ours and cannot be set"
      },
      {
       "rule": "self.all(k, size(k) >= 1 && size(k) <= 253)",
       "message": "a metadata key has 1 to 253 characters"
      }
     ],
     "additionalProperties": {
      "type": "string",
      "maxLength": 4096
     }
    },
    "metadataFromLabels": {
     "type": "array",
     "maxItems": 32,
     "x-kubernetes-validations": [
      {
       "rule": "self.all(k, k != 'managed-by' && !k.startsWith('roster-'))",
       "message": "the metadata keys managed-by and roster-* mark what is ours and cannot be set"
      }
     ],
     "items": {
      "type": "string",
      "minLength": 1,
      "maxLength": 317,
      "x-kubernetes-validations": [
       {
        "rule": "self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",
        "message": "a label key is [prefix/]name, the name of letters, digits, \"-\", \"_\" and \".\""
       }
      ]
     },
     "uniqueItems": true
    },
    "weight": {
     "type": "integer",
     "minimum": 0,
     "maximum": 10000,
     "default": 100
    },
    "priority": {
     "type": "integer",
     "minimum": 0,
     "maximum": 65535,
     "default": 0
    },
    "health": {
     "type": "string",
     "enum": [
      "Readiness",
      "ReadyOnly"
     ],
     "default": "Readiness"
    },
    "liveness": {
     "type": "string",
     "enum": [
      "Persistent",
      "Leased"
     ],
     "default": "Persistent"
    },
    "updatePolicy": {
     "type": "string",
     "enum": [
      "Sync",
      "UpsertOnly",
      "CreateOnly",
      "DryRun"
     ],
     "default": "Sync"
    },
    "deletionPolicy": {
     "type": "string",
     "enum": [
      "Delete",
      "Retain"
     ],
     "default": "Delete"
    },
    "suspend": {
     "type": "boolean",
     "default": false
    }
   },
   "additionalProperties": false
  },
  "status": {
   "type": "object",
   "properties": {
    "observedGeneration": {
     "type": "integer",
     "default": -1
    },
    "conditions": {
     "type": "array",
     "maxItems": 16,
     "items": {
      "type": "object",
      "required": [
       "type",
       "status",
       "lastTransitionTime",
       "reason",
       "message"
      ],
      "properties": {
       "type": {
        "type": "string",
        "minLength": 1,
        "maxLength": 316
       },
       "status": {
        "type": "string",
        "enum": [
         "True",
         "False",
         "Unknown"
        ]
       },
       "observedGeneration": {
        "type": "integer",
        "minimum": 0
       },
       "lastTransitionTime": {
        "type": "string"
       },
       "reason": {
        "type": "string",
        "minLength": 1,
        "maxLength": 1024,
        "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"
       },
       "message": {
        "type": "string",
        "maxLength": 32768
       }
      },
      "additionalProperties": false
     }
    },
    "services": {
     "type": "object",
     "required": [
      "matched",
      "synced"
     ],
     "properties": {
      "matched": {
       "type": "integer",
       "minimum": 0
      },
      "synced": {
       "type": "integer",
       "minimum": 0
      }
     },
     "additionalProperties": false
    },
    "instances": {
     "type": "object",
     "required": [
      "desired",
      "registered",
      "healthy"
     ],
     "properties": {
      "desired": {
       "type": "integer",
       "minimum": 0
      },
      "registered": {
       "type": "integer",
       "minimum": 0
      },
      "healthy": {
       "type": "integer",
       "minimum": 0
      }
     },
     "additionalProperties": false
    },
    "names": {
     "type": "array",
     "maxItems": 10,
     "items": {
      "type": "string",
      "maxLength": 512
     }
    },
    "failures": {
     "type": "array",
     "maxItems": 10,
     "items": {
      "type": "object",
      "required": [
       "service",
       "code",
       "message"
      ],
      "properties": {
       "service": {
        "type": "string",
        "maxLength": 512
       },
       "instance": {
        "type": "string",
        "maxLength": 512
       },
       "code": {
        "type": "string",
        "minLength": 1,
        "maxLength": 128
       },
       "message": {
        "type": "string",
        "maxLength": 1024
       }
      },
      "additionalProperties": false
     }
    },
    "lastHandledReconcileAt": {
     "type": "string",
     "maxLength": 253
    },
    "lastHandledReleaseAt": {
     "type": "string",
     "maxLength": 253
    }
   },
   "additionalProperties": false
  }
 },
 "ClusterServiceRegistration": {
  "spec": {
   "type": "object",
   "required": [
    "registryRef"
   ],
   "x-kubernetes-validations": [
    {
     "rule": "!has(self.ports) || size(self.ports) < 2 || self.name.contains('{port}')",
     "message": "several ports need {port} in name, or they would stand under one name"
    }
   ],
   "properties": {
    "registryRef": {
     "type": "object",
     "required": [
      "name"
     ],
     "x-kubernetes-validations": [
      {
       "rule": "self == oldSelf",
       "message": "registryRef cannot be changed: make a new registration and delete this one"
      },
      {
       "rule": "self.kind == 'ClusterRegistry'",
       "message": "a ClusterServiceRegistration can refer to a ClusterRegistry only"
      }
     ],
     "properties": {
      "kind": {
       "type": "string",
       "enum": [
        "ClusterRegistry",
        "Registry"
       ],
       "default": "ClusterRegistry"
      },
      "name": {
       "type": "string",
       "minLength": 1,
       "maxLength": 253,
       "x-kubernetes-validations": [
        {
         "rule": "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
         "message": "a registry has a lower-case DNS name"
        }
       ]
      }
     },
     "additionalProperties": false
    },
    "namespaceSelector": {
     "type": "object",
     "default": {},
     "properties": {
      "matchLabels": {
       "type": "object",
       "maxProperties": 16,
       "x-kubernetes-validations": [
        {
         "rule": "self.all(k, k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$'))",
         "message": "a label key is [prefix/]name, the name of letters, digits, \"-\", \"_\" and \".\""
        }
       ],
       "additionalProperties": {
        "type": "string",
        "maxLength": 63,
        "x-kubernetes-validations": [
         {
          "rule": "self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",
          "message": "a label value begins and ends with a letter or digit and has only letters, digits, \"-\", \"_\" and \".\" between"
         }
        ]
       }
      },
      "matchExpressions": {
       "type": "array",
       "maxItems": 16,
       "items": {
        "type": "object",
        "required": [
         "key",
         "operator"
        ],
        "x-kubernetes-validations": [
         {
          "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
          "message": "In and NotIn need values; Exists and DoesNotExist take none"
         }
        ],
        "properties": {
         "key": {
          "type": "string",
          "minLength": 1,
          "maxLength": 317,
          "x-kubernetes-validations": [
           {
            "rule": "self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",
            "message": "a label key is [prefix/]name, the name of letters, digits, \"-\", \"_\" and \".\""
           }
          ]
         },
         "operator": {
          "type": "string",
          "enum": [
           "In",
           "NotIn",
           "Exists",
           "DoesNotExist"
          ]
         },
         "values": {
          "type": "array",
          "maxItems": 32,
          "items": {
           "type": "string",
           "maxLength": 63,
           "x-kubernetes-validations": [
            {
             "rule": "self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",
             "message": "a label value begins and ends with a letter or digit and has only letters, digits, \"-\", \"_\" and \".\" between"
            }
           ]
          }
         }
        },
        "additionalProperties": false
       }
      }
     },
     "additionalProperties": false
    },
    "selector": {
     "type": "object",
     "default": {},
     "properties": {
      "matchLabels": {
       "type": "object",
       "maxProperties": 16,
       "x-kubernetes-validations": [
        {
         "rule": "self.all(k, k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$'))",
         "message": "a label key is [prefix/]name, the name of letters, digits, \"-\", \"_\" and \".\""
        }
       ],
       "additionalProperties": {
        "type": "string",
        "maxLength": 63,
        "x-kubernetes-validations": [
         {
          "rule": "self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",
          "message": "a label value begins and ends with a letter or digit and has only letters, digits, \"-\", \"_\" and \".\" between"
         }
        ]
       }
      },
      "matchExpressions": {
       "type": "array",
       "maxItems": 16,
       "items": {
        "type": "object",
        "required": [
         "key",
         "operator"
        ],
        "x-kubernetes-validations": [
         {
          "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
          "message": "In and NotIn need values; Exists and DoesNotExist take none"
         }
        ],
        "properties": {
         "key": {
          "type": "string",
          "minLength": 1,
          "maxLength": 317,
          "x-kubernetes-validations": [
           {
            "rule": "self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",
            "message": "a label key is [prefix/]name, the name of letters, digits, \"-\", \"_\" and \".\""
           }
          ]
         },
         "operator": {
          "type": "string",
          "enum": [
           "In",
           "NotIn",
           "Exists",
           "DoesNotExist"
          ]
         },
         "values": {
          "type": "array",
          "maxItems": 32,
          "items": {
           "type": "string",
           "maxLength": 63,
           "x-kubernetes-validations": [
            {
             "rule": "self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",
             "message": "a label value begins and ends with a letter or digit and has only letters, digits, \"-\", \"_\" and \".\" between"
            }
           ]
          }
         }
        },
        "additionalProperties": false
       }
      }
     },
     "additionalProperties": false
    },
    "name": {
     "type": "string",
     "minLength": 1,
     "maxLength": 253,
     "default": "{service}",
     "x-kubernetes-validations": [
      {
       "rule": "self.matches('^([^{}]|[{](service|namespace|cluster|port)[}])+$')",
       "message": "the only placeholders of a name are {service} {namespace} {cluster} {port}"
      }
     ]
    },
    "mergeName": {
     "type": "boolean",
     "default": false
    },
    "ports": {
     "type": "array",
     "minItems": 1,
     "maxItems": 32,
     "x-kubernetes-validations": [
      {
       "rule": "self.all(a, self.exists_one(b, a == b))",
       "message": "the same port is listed twice"
      }
     ],
     "items": {
      "x-kubernetes-int-or-string": true,
      "maxLength": 63,
      "x-kubernetes-validations": [
       {
        "rule": "type(self) == int ? (self >= 1 && self <= 65535) : self.matches('^[a-z0-9-]*[a-z][a-z0-9-]*$')",
        "message": "a port is a number from 1 to 65535, or a name of a-z, 0-9 and \"-\" with a letter in it"
       }
      ],
      "type": [
       "integer",
       "string"
      ]
     }
    },
    "addressType": {
     "type": "string",
     "enum": [
      "Endpoints",
      "ClusterIP",
      "NodePort",
      "LoadBalancer",
      "ExternalName",
      "Auto"
     ],
     "default": "Endpoints"
    },
    "tags": {
     "type": "array",
     "maxItems": 64,
     "items": {
      "type": "string",
      "minLength": 1,
      "maxLength": 253
     },
     "uniqueItems": true
    },
    "metadata": {
     "type": "object",
     "maxProperties": 64,
     "x-kubernetes-validations": [
      {
       "rule": "self.all(k, k != 'managed-by' && !k.startsWith('roster-'))",
       "message": "the metadata keys managed-by and roster-* mark what is ours and cannot be set"
      },
      {
       "rule": "self.all(k, size(k) >= 1 && size(k) <= 253)",
       "message": "a metadata key has 1 to 253 characters"
      }
     ],
     "additionalProperties": {
      "type": "string",
      "maxLength": 4096
     }
    },
    "metadataFromLabels": {
     "type": "array",
     "maxItems": 32,
     "x-kubernetes-validations": [
      {
       "rule": "self.all(k, k != 'managed-by' && !k.startsWith('roster-'))",
       "message": "the metadata keys managed-by and roster-* mark what is ours and cannot be set"
      }
     ],
     "items": {
      "type": "string",
      "minLength": 1,
      "maxLength": 317,
      "x-kubernetes-validations": [
       {
        "rule": "self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",
        "message": "a label key is [prefix/]name, the name of letters, digits, \"-\", \"_\" and \".\""
       }
      ]
     },
     "uniqueItems": true
    },
    "weight": {
     "type": "integer",
     "minimum": 0,
     "maximum": 10000,
     "default": 100
    },
    "priority": {
     "type": "integer",
     "minimum": 0,
     "maximum": 65535,
     "default": 0
    },
    "health": {
     "type": "string",
     "enum": [
      "Readiness",
      "ReadyOnly"
     ],
     "default": "Readiness"
    },
    "liveness": {
     "type": "string",
     "enum": [
      "Persistent",
      "Leased"
     ],
     "default": "Persistent"
    },
    "updatePolicy": {
     "type": "string",
     "enum": [
      "Sync",
      "UpsertOnly",
      "CreateOnly",
      "DryRun"
     ],
     "default": "Sync"
    },
    "deletionPolicy": {
     "type": "string",
     "enum": [
      "Delete",
      "Retain"
     ],
     "default": "Delete"
    },
    "suspend": {
     "type": "boolean",
     "default": false
    }
   },
   "additionalProperties": false
  },
  "status": {
   "type": "object",
   "properties": {
    "observedGeneration": {
     "type": "integer",
     "default": -1
    },
    "conditions": {
     "type": "array",
     "maxItems": 16,
     "items": {
      "type": "object",
      "required": [
       "type",
       "status",
       "lastTransitionTime",
       "reason",
       "message"
      ],
      "properties": {
       "type": {
        "type": "string",
        "minLength": 1,
        "maxLength": 316
       },
       "status": {
        "type": "string",
        "enum": [
         "True",
         "False",
         "Unknown"
        ]
       },
       "observedGeneration": {
        "type": "integer",
        "minimum": 0
       },
       "lastTransitionTime": {
        "type": "string"
       },
       "reason": {
        "type": "string",
        "minLength": 1,
        "maxLength": 1024,
        "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"
       },
       "message": {
        "type": "string",
        "maxLength": 32768
       }
      },
      "additionalProperties": false
     }
    },
    "services": {
     "type": "object",
     "required": [
      "matched",
      "synced"
     ],
     "properties": {
      "matched": {
       "type": "integer",
       "minimum": 0
      },
      "synced": {
       "type": "integer",
       "minimum": 0
      }
     },
     "additionalProperties": false
    },
    "instances": {
     "type": "object",
     "required": [
      "desired",
      "registered",
      "healthy"
     ],
     "properties": {
      "desired": {
       "type": "integer",
       "minimum": 0
      },
      "registered": {
       "type": "integer",
       "minimum": 0
      },
      "healthy": {
       "type": "integer",
       "minimum": 0
      }
     },
     "additionalProperties": false
    },
    "names": {
     "type": "array",
     "maxItems": 10,
     "items": {
      "type": "string",
      "maxLength": 512
     }
    },
    "failures": {
     "type": "array",
     "maxItems": 10,
     "items": {
      "type": "object",
      "required": [
       "service",
       "code",
       "message"
      ],
      "properties": {
       "service": {
        "type": "string",
        "maxLength": 512
       },
       "instance": {
        "type": "string",
        "maxLength": 512
       },
       "code": {
        "type": "string",
        "minLength": 1,
        "maxLength": 128
       },
       "message": {
        "type": "string",
        "maxLength": 1024
       }
      },
      "additionalProperties": false
     }
    },
    "lastHandledReconcileAt": {
     "type": "string",
     "maxLength": 253
    },
    "lastHandledReleaseAt": {
     "type": "string",
     "maxLength": 253
    }
   },
   "additionalProperties": false
  }
 },
 "Registry": {
  "spec": {
   "type": "object",
   "required": [
    "type"
   ],
   "x-kubernetes-validations": [
    {
     "rule": "!has(self.memory) || self.type == 'Memory'",
     "message": "the block memory belongs to type Memory: give exactly the block that type names"
    },
    {
     "rule": "has(self.etcd) == (self.type == 'Etcd')",
     "message": "type Etcd needs the block etcd, and only type Etcd may have it: give exactly the block that type names"
    },
    {
     "rule": "has(self.consul) == (self.type == 'Consul')",
     "message": "type Consul needs the block consul, and only type Consul may have it: give exactly the block that type names"
    },
    {
     "rule": "has(self.nacos) == (self.type == 'Nacos')",
     "message": "type Nacos needs the block nacos, and only type Nacos may have it: give exactly the block that type names"
    },
    {
     "rule": "has(self.zookeeper) == (self.type == 'ZooKeeper')",
     "message": "type ZooKeeper needs the block zookeeper, and only type ZooKeeper may have it: give exactly the block that type names"
    }
   ],
   "properties": {
    "type": {
     "type": "string",
     "enum": [
      "Memory",
      "Etcd",
      "Consul",
      "Nacos",
      "ZooKeeper"
     ]
    },
    "memory": {
     "type": "object",
     "properties": {
      "capacity": {
       "type": "integer",
       "minimum": 1,
       "maximum": 1000000
      },
      "ttlSeconds": {
       "type": "integer",
       "minimum": 0,
       "maximum": 86400,
       "default": 0
      }
     },
     "additionalProperties": false
    },
    "etcd": {
     "type": "object",
     "required": [
      "endpoints"
     ],
     "x-kubernetes-validations": [
      {
       "rule": "has(self.usernameSecretRef) == has(self.passwordSecretRef)",
       "message": "usernameSecretRef and passwordSecretRef go together: give both or neither"
      }
     ],
     "properties": {
      "endpoints": {
       "type": "array",
       "minItems": 1,
       "maxItems": 16,
       "items": {
        "type": "string",
        "minLength": 1,
        "maxLength": 512,
        "x-kubernetes-validations": [
         {
          "rule": "self.matches('^(https?://)?[^/@?#\\\\s]+$')",
          "message": "an endpoint is host:port, http://host:port or https://host:port, without credentials or path"
         }
        ]
       },
       "uniqueItems": true
      },
      "usernameSecretRef": {
       "type": "object",
       "required": [
        "name",
        "key"
       ],
       "x-kubernetes-validations": [
        {
         "rule": "!has(self.namespace)",
         "message": "a Registry reads Secrets of its own namespace only: leave namespace out, or use a ClusterRegistry"
        }
       ],
       "properties": {
        "namespace": {
         "type": "string",
         "minLength": 1,
         "maxLength": 63
        },
        "name": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        },
        "key": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        }
       },
       "additionalProperties": false
      },
      "passwordSecretRef": {
       "type": "object",
       "required": [
        "name",
        "key"
       ],
       "x-kubernetes-validations": [
        {
         "rule": "!has(self.namespace)",
         "message": "a Registry reads Secrets of its own namespace only: leave namespace out, or use a ClusterRegistry"
        }
       ],
       "properties": {
        "namespace": {
         "type": "string",
         "minLength": 1,
         "maxLength": 63
        },
        "name": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        },
        "key": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        }
       },
       "additionalProperties": false
      },
      "tls": {
       "type": "object",
       "properties": {
        "caSecretRef": {
         "type": "object",
         "required": [
          "name"
         ],
         "x-kubernetes-validations": [
          {
           "rule": "!has(self.namespace)",
           "message": "a Registry reads Secrets of its own namespace only: leave namespace out, or use a ClusterRegistry"
          }
         ],
         "properties": {
          "namespace": {
           "type": "string",
           "minLength": 1,
           "maxLength": 63
          },
          "name": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253
          },
          "key": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253,
           "default": "ca.crt"
          }
         },
         "additionalProperties": false
        },
        "certSecretRef": {
         "type": "object",
         "required": [
          "name"
         ],
         "x-kubernetes-validations": [
          {
           "rule": "!has(self.namespace)",
           "message": "a Registry reads Secrets of its own namespace only: leave namespace out, or use a ClusterRegistry"
          }
         ],
         "properties": {
          "namespace": {
           "type": "string",
           "minLength": 1,
           "maxLength": 63
          },
          "name": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253
          }
         },
         "additionalProperties": false
        },
        "serverName": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        }
       },
       "additionalProperties": false
      },
      "prefix": {
       "type": "string",
       "maxLength": 253,
       "default": "/services",
       "x-kubernetes-validations": [
        {
         "rule": "self.matches('^(/[^/\\\\s]+)+$')",
         "message": "a path begins with \"/\", does not end with \"/\" and has no empty part or blank"
        }
       ]
      },
      "ttlSeconds": {
       "type": "integer",
       "minimum": 0,
       "maximum": 86400,
       "default": 0
      },
      "layout": {
       "type": "string",
       "enum": [
        "Roster",
        "Grpc",
        "GoMicro",
        "Kratos",
        "GoZero"
       ],
       "default": "Roster"
      }
     },
     "additionalProperties": false
    },
    "consul": {
     "type": "object",
     "x-kubernetes-validations": [
      {
       "rule": "has(self.address) != has(self.addresses)",
       "message": "give either address or addresses, not both and not neither"
      },
      {
       "rule": "!has(self.tls) || ((!has(self.address) || self.address.startsWith('https://')) && (!has(self.addresses) || self.addresses.all(a, a.startsWith('https://'))))",
       "message": "tls is set, so every address must begin with https://"
      }
     ],
     "properties": {
      "address": {
       "type": "string",
       "minLength": 1,
       "maxLength": 512,
       "x-kubernetes-validations": [
        {
         "rule": "self.matches('^https?://[^/@?#\\\\s]+(/[^@?#\\\\s]*)?$')",
         "message": "an address is http://host:port or https://host:port, without credentials, query or fragment"
        }
       ]
      },
      "addresses": {
       "type": "array",
       "minItems": 1,
       "maxItems": 16,
       "items": {
        "type": "string",
        "minLength": 1,
        "maxLength": 512,
        "x-kubernetes-validations": [
         {
          "rule": "self.matches('^https?://[^/@?#\\\\s]+(/[^@?#\\\\s]*)?$')",
          "message": "an address is http://host:port or https://host:port, without credentials, query or fragment"
         }
        ]
       },
       "uniqueItems": true
      },
      "datacenter": {
       "type": "string",
       "minLength": 1,
       "maxLength": 128
      },
      "namespace": {
       "type": "string",
       "minLength": 1,
       "maxLength": 128
      },
      "partition": {
       "type": "string",
       "minLength": 1,
       "maxLength": 128
      },
      "tokenSecretRef": {
       "type": "object",
       "required": [
        "name",
        "key"
       ],
       "x-kubernetes-validations": [
        {
         "rule": "!has(self.namespace)",
         "message": "a Registry reads Secrets of its own namespace only: leave namespace out, or use a ClusterRegistry"
        }
       ],
       "properties": {
        "namespace": {
         "type": "string",
         "minLength": 1,
         "maxLength": 63
        },
        "name": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        },
        "key": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        }
       },
       "additionalProperties": false
      },
      "tls": {
       "type": "object",
       "properties": {
        "caSecretRef": {
         "type": "object",
         "required": [
          "name"
         ],
         "x-kubernetes-validations": [
          {
           "rule": "!has(self.namespace)",
           "message": "a Registry reads Secrets of its own namespace only: leave namespace out, or use a ClusterRegistry"
          }
         ],
         "properties": {
          "namespace": {
           "type": "string",
           "minLength": 1,
           "maxLength": 63
          },
          "name": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253
          },
          "key": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253,
           "default": "ca.crt"
          }
         },
         "additionalProperties": false
        },
        "certSecretRef": {
         "type": "object",
         "required": [
          "name"
         ],
         "x-kubernetes-validations": [
          {
           "rule": "!has(self.namespace)",
           "message": "a Registry reads Secrets of its own namespace only: leave namespace out, or use a ClusterRegistry"
          }
         ],
         "properties": {
          "namespace": {
           "type": "string",
           "minLength": 1,
           "maxLength": 63
          },
          "name": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253
          }
         },
         "additionalProperties": false
        },
        "serverName": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        }
       },
       "additionalProperties": false
      },
      "prefix": {
       "type": "string",
       "maxLength": 128,
       "default": ""
      },
      "ttlSeconds": {
       "type": "integer",
       "minimum": 0,
       "maximum": 86400,
       "default": 0
      },
      "healthChecks": {
       "type": "boolean",
       "default": true
      }
     },
     "additionalProperties": false
    },
    "nacos": {
     "type": "object",
     "required": [
      "addresses"
     ],
     "x-kubernetes-validations": [
      {
       "rule": "has(self.usernameSecretRef) == has(self.passwordSecretRef)",
       "message": "usernameSecretRef and passwordSecretRef go together: give both or neither"
      }
     ],
     "properties": {
      "addresses": {
       "type": "array",
       "minItems": 1,
       "maxItems": 16,
       "items": {
        "type": "string",
        "minLength": 1,
        "maxLength": 512,
        "x-kubernetes-validations": [
         {
          "rule": "self.matches('^https?://[^/@?#\\\\s]+(/[^@?#\\\\s]*)?$')",
          "message": "an address is http://host:port or https://host:port, without credentials, query or fragment"
         }
        ]
       },
       "uniqueItems": true
      },
      "namespace": {
       "type": "string",
       "minLength": 1,
       "maxLength": 128
      },
      "group": {
       "type": "string",
       "minLength": 1,
       "maxLength": 128,
       "default": "DEFAULT_GROUP"
      },
      "cluster": {
       "type": "string",
       "minLength": 1,
       "maxLength": 64,
       "default": "DEFAULT"
      },
      "usernameSecretRef": {
       "type": "object",
       "required": [
        "name",
        "key"
       ],
       "x-kubernetes-validations": [
        {
         "rule": "!has(self.namespace)",
         "message": "a Registry reads Secrets of its own namespace only: leave namespace out, or use a ClusterRegistry"
        }
       ],
       "properties": {
        "namespace": {
         "type": "string",
         "minLength": 1,
         "maxLength": 63
        },
        "name": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        },
        "key": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        }
       },
       "additionalProperties": false
      },
      "passwordSecretRef": {
       "type": "object",
       "required": [
        "name",
        "key"
       ],
       "x-kubernetes-validations": [
        {
         "rule": "!has(self.namespace)",
         "message": "a Registry reads Secrets of its own namespace only: leave namespace out, or use a ClusterRegistry"
        }
       ],
       "properties": {
        "namespace": {
         "type": "string",
         "minLength": 1,
         "maxLength": 63
        },
        "name": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        },
        "key": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        }
       },
       "additionalProperties": false
      },
      "tls": {
       "type": "object",
       "properties": {
        "caSecretRef": {
         "type": "object",
         "required": [
          "name"
         ],
         "x-kubernetes-validations": [
          {
           "rule": "!has(self.namespace)",
           "message": "a Registry reads Secrets of its own namespace only: leave namespace out, or use a ClusterRegistry"
          }
         ],
         "properties": {
          "namespace": {
           "type": "string",
           "minLength": 1,
           "maxLength": 63
          },
          "name": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253
          },
          "key": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253,
           "default": "ca.crt"
          }
         },
         "additionalProperties": false
        },
        "certSecretRef": {
         "type": "object",
         "required": [
          "name"
         ],
         "x-kubernetes-validations": [
          {
           "rule": "!has(self.namespace)",
           "message": "a Registry reads Secrets of its own namespace only: leave namespace out, or use a ClusterRegistry"
          }
         ],
         "properties": {
          "namespace": {
           "type": "string",
           "minLength": 1,
           "maxLength": 63
          },
          "name": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253
          }
         },
         "additionalProperties": false
        },
        "serverName": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        }
       },
       "additionalProperties": false
      },
      "protocol": {
       "type": "string",
       "enum": [
        "Auto",
        "Grpc",
        "Http"
       ],
       "default": "Auto"
      },
      "protectThreshold": {
       "type": "number",
       "minimum": 0,
       "maximum": 1
      }
     },
     "additionalProperties": false
    },
    "zookeeper": {
     "type": "object",
     "required": [
      "connectString"
     ],
     "properties": {
      "connectString": {
       "type": "string",
       "minLength": 1,
       "maxLength": 2048,
       "x-kubernetes-validations": [
        {
         "rule": "self.matches('^[^/@,\\\\s]+(,[^/@,\\\\s]+)*(/[^/\\\\s]+)*$')",
         "message": "connectString is host:port[,host:port...][/chroot]"
        }
       ]
      },
      "rootPath": {
       "type": "string",
       "maxLength": 253,
       "default": "/services",
       "x-kubernetes-validations": [
        {
         "rule": "self.matches('^(/[^/\\\\s]+)+$')",
         "message": "a path begins with \"/\", does not end with \"/\" and has no empty part or blank"
        }
       ]
      },
      "sessionTimeoutSeconds": {
       "type": "integer",
       "minimum": 1,
       "maximum": 600,
       "default": 30
      },
      "tls": {
       "type": "object",
       "properties": {
        "caSecretRef": {
         "type": "object",
         "required": [
          "name"
         ],
         "x-kubernetes-validations": [
          {
           "rule": "!has(self.namespace)",
           "message": "a Registry reads Secrets of its own namespace only: leave namespace out, or use a ClusterRegistry"
          }
         ],
         "properties": {
          "namespace": {
           "type": "string",
           "minLength": 1,
           "maxLength": 63
          },
          "name": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253
          },
          "key": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253,
           "default": "ca.crt"
          }
         },
         "additionalProperties": false
        },
        "certSecretRef": {
         "type": "object",
         "required": [
          "name"
         ],
         "x-kubernetes-validations": [
          {
           "rule": "!has(self.namespace)",
           "message": "a Registry reads Secrets of its own namespace only: leave namespace out, or use a ClusterRegistry"
          }
         ],
         "properties": {
          "namespace": {
           "type": "string",
           "minLength": 1,
           "maxLength": 63
          },
          "name": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253
          }
         },
         "additionalProperties": false
        },
        "serverName": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        }
       },
       "additionalProperties": false
      },
      "digestAuthSecretRef": {
       "type": "object",
       "required": [
        "name",
        "key"
       ],
       "x-kubernetes-validations": [
        {
         "rule": "!has(self.namespace)",
         "message": "a Registry reads Secrets of its own namespace only: leave namespace out, or use a ClusterRegistry"
        }
       ],
       "properties": {
        "namespace": {
         "type": "string",
         "minLength": 1,
         "maxLength": 63
        },
        "name": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        },
        "key": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        }
       },
       "additionalProperties": false
      },
      "layout": {
       "type": "string",
       "enum": [
        "Curator",
        "Kratos",
        "Plain"
       ],
       "default": "Curator"
      }
     },
     "additionalProperties": false
    },
    "timeouts": {
     "type": "object",
     "default": {},
     "properties": {
      "connectSeconds": {
       "type": "integer",
       "minimum": 1,
       "maximum": 300,
       "default": 5
      },
      "requestSeconds": {
       "type": "integer",
       "minimum": 1,
       "maximum": 600,
       "default": 10
      }
     },
     "additionalProperties": false
    },
    "audit": {
     "type": "object",
     "default": {},
     "properties": {
      "intervalSeconds": {
       "type": "integer",
       "minimum": 1,
       "maximum": 86400,
       "default": 60
      }
     },
     "additionalProperties": false
    },
    "deletionGuard": {
     "type": "object",
     "default": {},
     "properties": {
      "maxPercent": {
       "type": "integer",
       "minimum": 0,
       "maximum": 100,
       "default": 20
      },
      "minInstances": {
       "type": "integer",
       "minimum": 0,
       "maximum": 1000000,
       "default": 10
      },
      "windowSeconds": {
       "type": "integer",
       "minimum": 1,
       "maximum": 86400,
       "default": 60
      }
     },
     "additionalProperties": false
    },
    "allowUnmanagedEndpoints": {
     "type": "boolean",
     "default": false
    }
   },
   "additionalProperties": false
  },
  "status": {
   "type": "object",
   "properties": {
    "observedGeneration": {
     "type": "integer",
     "default": -1
    },
    "conditions": {
     "type": "array",
     "maxItems": 16,
     "items": {
      "type": "object",
      "required": [
       "type",
       "status",
       "lastTransitionTime",
       "reason",
       "message"
      ],
      "properties": {
       "type": {
        "type": "string",
        "minLength": 1,
        "maxLength": 316
       },
       "status": {
        "type": "string",
        "enum": [
         "True",
         "False",
         "Unknown"
        ]
       },
       "observedGeneration": {
        "type": "integer",
        "minimum": 0
       },
       "lastTransitionTime": {
        "type": "string"
       },
       "reason": {
        "type": "string",
        "minLength": 1,
        "maxLength": 1024,
        "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"
       },
       "message": {
        "type": "string",
        "maxLength": 32768
       }
      },
      "additionalProperties": false
     }
    },
    "server": {
     "type": "object",
     "properties": {
      "version": {
       "type": "string",
       "maxLength": 128
      }
     },
     "additionalProperties": false
    },
    "instances": {
     "type": "object",
     "required": [
      "owned"
     ],
     "properties": {
      "owned": {
       "type": "integer",
       "minimum": 0
      }
     },
     "additionalProperties": false
    },
    "otherOwner": {
     "type": "string",
     "maxLength": 200
    },
    "lastHandledReconcileAt": {
     "type": "string",
     "maxLength": 253
    },
    "lastHandledReleaseAt": {
     "type": "string",
     "maxLength": 253
    }
   },
   "additionalProperties": false
  }
 },
 "ClusterRegistry": {
  "spec": {
   "type": "object",
   "required": [
    "type"
   ],
   "x-kubernetes-validations": [
    {
     "rule": "!has(self.memory) || self.type == 'Memory'",
     "message": "the block memory belongs to type Memory: give exactly the block that type names"
    },
    {
     "rule": "has(self.etcd) == (self.type == 'Etcd')",
     "message": "type Etcd needs the block etcd, and only type Etcd may have it: give exactly the block that type names"
    },
    {
     "rule": "has(self.consul) == (self.type == 'Consul')",
     "message": "type Consul needs the block consul, and only type Consul may have it: give exactly the block that type names"
    },
    {
     "rule": "has(self.nacos) == (self.type == 'Nacos')",
     "message": "type Nacos needs the block nacos, and only type Nacos may have it: give exactly the block that type names"
    },
    {
     "rule": "has(self.zookeeper) == (self.type == 'ZooKeeper')",
     "message": "type ZooKeeper needs the block zookeeper, and only type ZooKeeper may have it: give exactly the block that type names"
    }
   ],
   "properties": {
    "type": {
     "type": "string",
     "enum": [
      "Memory",
      "Etcd",
      "Consul",
      "Nacos",
      "ZooKeeper"
     ]
    },
    "memory": {
     "type": "object",
     "properties": {
      "capacity": {
       "type": "integer",
       "minimum": 1,
       "maximum": 1000000
      },
      "ttlSeconds": {
       "type": "integer",
       "minimum": 0,
       "maximum": 86400,
       "default": 0
      }
     },
     "additionalProperties": false
    },
    "etcd": {
     "type": "object",
     "required": [
      "endpoints"
     ],
     "x-kubernetes-validations": [
      {
       "rule": "has(self.usernameSecretRef) == has(self.passwordSecretRef)",
       "message": "usernameSecretRef and passwordSecretRef go together: give both or neither"
      }
     ],
     "properties": {
      "endpoints": {
       "type": "array",
       "minItems": 1,
       "maxItems": 16,
       "items": {
        "type": "string",
        "minLength": 1,
        "maxLength": 512,
        "x-kubernetes-validations": [
         {
          "rule": "self.matches('^(https?://)?[^/@?#\\\\s]+$')",
          "message": "an endpoint is host:port, http://host:port or https://host:port, without credentials or path"
         }
        ]
       },
       "uniqueItems": true
      },
      "usernameSecretRef": {
       "type": "object",
       "required": [
        "name",
        "key"
       ],
       "x-kubernetes-validations": [
        {
         "rule": "has(self.namespace)",
         "message": "a ClusterRegistry stands in no namespace: name the namespace of the Secret"
        }
       ],
       "properties": {
        "namespace": {
         "type": "string",
         "minLength": 1,
         "maxLength": 63
        },
        "name": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        },
        "key": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        }
       },
       "additionalProperties": false
      },
      "passwordSecretRef": {
       "type": "object",
       "required": [
        "name",
        "key"
       ],
       "x-kubernetes-validations": [
        {
         "rule": "has(self.namespace)",
         "message": "a ClusterRegistry stands in no namespace: name the namespace of the Secret"
        }
       ],
       "properties": {
        "namespace": {
         "type": "string",
         "minLength": 1,
         "maxLength": 63
        },
        "name": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        },
        "key": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        }
       },
       "additionalProperties": false
      },
      "tls": {
       "type": "object",
       "properties": {
        "caSecretRef": {
         "type": "object",
         "required": [
          "name"
         ],
         "x-kubernetes-validations": [
          {
           "rule": "has(self.namespace)",
           "message": "a ClusterRegistry stands in no namespace: name the namespace of the Secret"
          }
         ],
         "properties": {
          "namespace": {
           "type": "string",
           "minLength": 1,
           "maxLength": 63
          },
          "name": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253
          },
          "key": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253,
           "default": "ca.crt"
          }
         },
         "additionalProperties": false
        },
        "certSecretRef": {
         "type": "object",
         "required": [
          "name"
         ],
         "x-kubernetes-validations": [
          {
           "rule": "has(self.namespace)",
           "message": "a ClusterRegistry stands in no namespace: name the namespace of the Secret"
          }
         ],
         "properties": {
          "namespace": {
           "type": "string",
           "minLength": 1,
           "maxLength": 63
          },
          "name": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253
          }
         },
         "additionalProperties": false
        },
        "serverName": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        }
       },
       "additionalProperties": false
      },
      "prefix": {
       "type": "string",
       "maxLength": 253,
       "default": "/services",
       "x-kubernetes-validations": [
        {
         "rule": "self.matches('^(/[^/\\\\s]+)+$')",
         "message": "a path begins with \"/\", does not end with \"/\" and has no empty part or blank"
        }
       ]
      },
      "ttlSeconds": {
       "type": "integer",
       "minimum": 0,
       "maximum": 86400,
       "default": 0
      },
      "layout": {
       "type": "string",
       "enum": [
        "Roster",
        "Grpc",
        "GoMicro",
        "Kratos",
        "GoZero"
       ],
       "default": "Roster"
      }
     },
     "additionalProperties": false
    },
    "consul": {
     "type": "object",
     "x-kubernetes-validations": [
      {
       "rule": "has(self.address) != has(self.addresses)",
       "message": "give either address or addresses, not both and not neither"
      },
      {
       "rule": "!has(self.tls) || ((!has(self.address) || self.address.startsWith('https://')) && (!has(self.addresses) || self.addresses.all(a, a.startsWith('https://'))))",
       "message": "tls is set, so every address must begin with https://"
      }
     ],
     "properties": {
      "address": {
       "type": "string",
       "minLength": 1,
       "maxLength": 512,
       "x-kubernetes-validations": [
        {
         "rule": "self.matches('^https?://[^/@?#\\\\s]+(/[^@?#\\\\s]*)?$')",
         "message": "an address is http://host:port or https://host:port, without credentials, query or fragment"
        }
       ]
      },
      "addresses": {
       "type": "array",
       "minItems": 1,
       "maxItems": 16,
       "items": {
        "type": "string",
        "minLength": 1,
        "maxLength": 512,
        "x-kubernetes-validations": [
         {
          "rule": "self.matches('^https?://[^/@?#\\\\s]+(/[^@?#\\\\s]*)?$')",
          "message": "an address is http://host:port or https://host:port, without credentials, query or fragment"
         }
        ]
       },
       "uniqueItems": true
      },
      "datacenter": {
       "type": "string",
       "minLength": 1,
       "maxLength": 128
      },
      "namespace": {
       "type": "string",
       "minLength": 1,
       "maxLength": 128
      },
      "partition": {
       "type": "string",
       "minLength": 1,
       "maxLength": 128
      },
      "tokenSecretRef": {
       "type": "object",
       "required": [
        "name",
        "key"
       ],
       "x-kubernetes-validations": [
        {
         "rule": "has(self.namespace)",
         "message": "a ClusterRegistry stands in no namespace: name the namespace of the Secret"
        }
       ],
       "properties": {
        "namespace": {
         "type": "string",
         "minLength": 1,
         "maxLength": 63
        },
        "name": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        },
        "key": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        }
       },
       "additionalProperties": false
      },
      "tls": {
       "type": "object",
       "properties": {
        "caSecretRef": {
         "type": "object",
         "required": [
          "name"
         ],
         "x-kubernetes-validations": [
          {
           "rule": "has(self.namespace)",
           "message": "a ClusterRegistry stands in no namespace: name the namespace of the Secret"
          }
         ],
         "properties": {
          "namespace": {
           "type": "string",
           "minLength": 1,
           "maxLength": 63
          },
          "name": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253
          },
          "key": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253,
           "default": "ca.crt"
          }
         },
         "additionalProperties": false
        },
        "certSecretRef": {
         "type": "object",
         "required": [
          "name"
         ],
         "x-kubernetes-validations": [
          {
           "rule": "has(self.namespace)",
           "message": "a ClusterRegistry stands in no namespace: name the namespace of the Secret"
          }
         ],
         "properties": {
          "namespace": {
           "type": "string",
           "minLength": 1,
           "maxLength": 63
          },
          "name": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253
          }
         },
         "additionalProperties": false
        },
        "serverName": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        }
       },
       "additionalProperties": false
      },
      "prefix": {
       "type": "string",
       "maxLength": 128,
       "default": ""
      },
      "ttlSeconds": {
       "type": "integer",
       "minimum": 0,
       "maximum": 86400,
       "default": 0
      },
      "healthChecks": {
       "type": "boolean",
       "default": true
      }
     },
     "additionalProperties": false
    },
    "nacos": {
     "type": "object",
     "required": [
      "addresses"
     ],
     "x-kubernetes-validations": [
      {
       "rule": "has(self.usernameSecretRef) == has(self.passwordSecretRef)",
       "message": "usernameSecretRef and passwordSecretRef go together: give both or neither"
      }
     ],
     "properties": {
      "addresses": {
       "type": "array",
       "minItems": 1,
       "maxItems": 16,
       "items": {
        "type": "string",
        "minLength": 1,
        "maxLength": 512,
        "x-kubernetes-validations": [
         {
          "rule": "self.matches('^https?://[^/@?#\\\\s]+(/[^@?#\\\\s]*)?$')",
          "message": "an address is http://host:port or https://host:port, without credentials, query or fragment"
         }
        ]
       },
       "uniqueItems": true
      },
      "namespace": {
       "type": "string",
       "minLength": 1,
       "maxLength": 128
      },
      "group": {
       "type": "string",
       "minLength": 1,
       "maxLength": 128,
       "default": "DEFAULT_GROUP"
      },
      "cluster": {
       "type": "string",
       "minLength": 1,
       "maxLength": 64,
       "default": "DEFAULT"
      },
      "usernameSecretRef": {
       "type": "object",
       "required": [
        "name",
        "key"
       ],
       "x-kubernetes-validations": [
        {
         "rule": "has(self.namespace)",
         "message": "a ClusterRegistry stands in no namespace: name the namespace of the Secret"
        }
       ],
       "properties": {
        "namespace": {
         "type": "string",
         "minLength": 1,
         "maxLength": 63
        },
        "name": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        },
        "key": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        }
       },
       "additionalProperties": false
      },
      "passwordSecretRef": {
       "type": "object",
       "required": [
        "name",
        "key"
       ],
       "x-kubernetes-validations": [
        {
         "rule": "has(self.namespace)",
         "message": "a ClusterRegistry stands in no namespace: name the namespace of the Secret"
        }
       ],
       "properties": {
        "namespace": {
         "type": "string",
         "minLength": 1,
         "maxLength": 63
        },
        "name": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        },
        "key": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        }
       },
       "additionalProperties": false
      },
      "tls": {
       "type": "object",
       "properties": {
        "caSecretRef": {
         "type": "object",
         "required": [
          "name"
         ],
         "x-kubernetes-validations": [
          {
           "rule": "has(self.namespace)",
           "message": "a ClusterRegistry stands in no namespace: name the namespace of the Secret"
          }
         ],
         "properties": {
          "namespace": {
           "type": "string",
           "minLength": 1,
           "maxLength": 63
          },
          "name": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253
          },
          "key": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253,
           "default": "ca.crt"
          }
         },
         "additionalProperties": false
        },
        "certSecretRef": {
         "type": "object",
         "required": [
          "name"
         ],
         "x-kubernetes-validations": [
          {
           "rule": "has(self.namespace)",
           "message": "a ClusterRegistry stands in no namespace: name the namespace of the Secret"
          }
         ],
         "properties": {
          "namespace": {
           "type": "string",
           "minLength": 1,
           "maxLength": 63
          },
          "name": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253
          }
         },
         "additionalProperties": false
        },
        "serverName": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        }
       },
       "additionalProperties": false
      },
      "protocol": {
       "type": "string",
       "enum": [
        "Auto",
        "Grpc",
        "Http"
       ],
       "default": "Auto"
      },
      "protectThreshold": {
       "type": "number",
       "minimum": 0,
       "maximum": 1
      }
     },
     "additionalProperties": false
    },
    "zookeeper": {
     "type": "object",
     "required": [
      "connectString"
     ],
     "properties": {
      "connectString": {
       "type": "string",
       "minLength": 1,
       "maxLength": 2048,
       "x-kubernetes-validations": [
        {
         "rule": "self.matches('^[^/@,\\\\s]+(,[^/@,\\\\s]+)*(/[^/\\\\s]+)*$')",
         "message": "connectString is host:port[,host:port...][/chroot]"
        }
       ]
      },
      "rootPath": {
       "type": "string",
       "maxLength": 253,
       "default": "/services",
       "x-kubernetes-validations": [
        {
         "rule": "self.matches('^(/[^/\\\\s]+)+$')",
         "message": "a path begins with \"/\", does not end with \"/\" and has no empty part or blank"
        }
       ]
      },
      "sessionTimeoutSeconds": {
       "type": "integer",
       "minimum": 1,
       "maximum": 600,
       "default": 30
      },
      "tls": {
       "type": "object",
       "properties": {
        "caSecretRef": {
         "type": "object",
         "required": [
          "name"
         ],
         "x-kubernetes-validations": [
          {
           "rule": "has(self.namespace)",
           "message": "a ClusterRegistry stands in no namespace: name the namespace of the Secret"
          }
         ],
         "properties": {
          "namespace": {
           "type": "string",
           "minLength": 1,
           "maxLength": 63
          },
          "name": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253
          },
          "key": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253,
           "default": "ca.crt"
          }
         },
         "additionalProperties": false
        },
        "certSecretRef": {
         "type": "object",
         "required": [
          "name"
         ],
         "x-kubernetes-validations": [
          {
           "rule": "has(self.namespace)",
           "message": "a ClusterRegistry stands in no namespace: name the namespace of the Secret"
          }
         ],
         "properties": {
          "namespace": {
           "type": "string",
           "minLength": 1,
           "maxLength": 63
          },
          "name": {
           "type": "string",
           "minLength": 1,
           "maxLength": 253
          }
         },
         "additionalProperties": false
        },
        "serverName": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        }
       },
       "additionalProperties": false
      },
      "digestAuthSecretRef": {
       "type": "object",
       "required": [
        "name",
        "key"
       ],
       "x-kubernetes-validations": [
        {
         "rule": "has(self.namespace)",
         "message": "a ClusterRegistry stands in no namespace: name the namespace of the Secret"
        }
       ],
       "properties": {
        "namespace": {
         "type": "string",
         "minLength": 1,
         "maxLength": 63
        },
        "name": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        },
        "key": {
         "type": "string",
         "minLength": 1,
         "maxLength": 253
        }
       },
       "additionalProperties": false
      },
      "layout": {
       "type": "string",
       "enum": [
        "Curator",
        "Kratos",
        "Plain"
       ],
       "default": "Curator"
      }
     },
     "additionalProperties": false
    },
    "timeouts": {
     "type": "object",
     "default": {},
     "properties": {
      "connectSeconds": {
       "type": "integer",
       "minimum": 1,
       "maximum": 300,
       "default": 5
      },
      "requestSeconds": {
       "type": "integer",
       "minimum": 1,
       "maximum": 600,
       "default": 10
      }
     },
     "additionalProperties": false
    },
    "audit": {
     "type": "object",
     "default": {},
     "properties": {
      "intervalSeconds": {
       "type": "integer",
       "minimum": 1,
       "maximum": 86400,
       "default": 60
      }
     },
     "additionalProperties": false
    },
    "deletionGuard": {
     "type": "object",
     "default": {},
     "properties": {
      "maxPercent": {
       "type": "integer",
       "minimum": 0,
       "maximum": 100,
       "default": 20
      },
      "minInstances": {
       "type": "integer",
       "minimum": 0,
       "maximum": 1000000,
       "default": 10
      },
      "windowSeconds": {
       "type": "integer",
       "minimum": 1,
       "maximum": 86400,
       "default": 60
      }
     },
     "additionalProperties": false
    },
    "allowedNamespaces": {
     "type": "object",
     "default": {
      "all": true
     },
     "x-kubernetes-validations": [
      {
       "rule": "[has(self.all), has(self.names), has(self.selector)].filter(x, x).size() == 1",
       "message": "give exactly one of all, names and selector"
      }
     ],
     "properties": {
      "all": {
       "type": "boolean"
      },
      "names": {
       "type": "array",
       "maxItems": 256,
       "items": {
        "type": "string",
        "minLength": 1,
        "maxLength": 63
       },
       "uniqueItems": true
      },
      "selector": {
       "type": "object",
       "properties": {
        "matchLabels": {
         "type": "object",
         "maxProperties": 16,
         "x-kubernetes-validations": [
          {
           "rule": "self.all(k, k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$'))",
           "message": "a label key is [prefix/]name, the name of letters, digits, \"-\", \"_\" and \".\""
          }
         ],
         "additionalProperties": {
          "type": "string",
          "maxLength": 63,
          "x-kubernetes-validations": [
           {
            "rule": "self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",
            "message": "a label value begins and ends with a letter or digit and has only letters, digits, \"-\", \"_\" and \".\" between"
           }
          ]
         }
        },
        "matchExpressions": {
         "type": "array",
         "maxItems": 16,
         "items": {
          "type": "object",
          "required": [
           "key",
           "operator"
          ],
          "x-kubernetes-validations": [
           {
            "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
            "message": "In and NotIn need values; Exists and DoesNotExist take none"
           }
          ],
          "properties": {
           "key": {
            "type": "string",
            "minLength": 1,
            "maxLength": 317,
            "x-kubernetes-validations": [
             {
              "rule": "self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",
              "message": "a label key is [prefix/]name, the name of letters, digits, \"-\", \"_\" and \".\""
             }
            ]
           },
           "operator": {
            "type": "string",
            "enum": [
             "In",
             "NotIn",
             "Exists",
             "DoesNotExist"
            ]
           },
           "values": {
            "type": "array",
            "maxItems": 32,
            "items": {
             "type": "string",
             "maxLength": 63,
             "x-kubernetes-validations": [
              {
               "rule": "self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",
               "message": "a label value begins and ends with a letter or digit and has only letters, digits, \"-\", \"_\" and \".\" between"
              }
             ]
            }
           }
          },
          "additionalProperties": false
         }
        }
       },
       "additionalProperties": false
      }
     },
     "additionalProperties": false
    },
    "credentialsDirectory": {
     "type": "string",
     "minLength": 1,
     "maxLength": 253,
     "x-kubernetes-validations": [
      {
       "rule": "self.matches('^[A-Za-z0-9][A-Za-z0-9._-]*$')",
       "message": "the name of one directory, not a path"
      }
     ]
    },
    "allowUnmanagedEndpoints": {
     "type": "boolean",
     "default": false
    }
   },
   "additionalProperties": false
  },
  "status": {
   "type": "object",
   "properties": {
    "observedGeneration": {
     "type": "integer",
     "default": -1
    },
    "conditions": {
     "type": "array",
     "maxItems": 16,
     "items": {
      "type": "object",
      "required": [
       "type",
       "status",
       "lastTransitionTime",
       "reason",
       "message"
      ],
      "properties": {
       "type": {
        "type": "string",
        "minLength": 1,
        "maxLength": 316
       },
       "status": {
        "type": "string",
        "enum": [
         "True",
         "False",
         "Unknown"
        ]
       },
       "observedGeneration": {
        "type": "integer",
        "minimum": 0
       },
       "lastTransitionTime": {
        "type": "string"
       },
       "reason": {
        "type": "string",
        "minLength": 1,
        "maxLength": 1024,
        "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"
       },
       "message": {
        "type": "string",
        "maxLength": 32768
       }
      },
      "additionalProperties": false
     }
    },
    "server": {
     "type": "object",
     "properties": {
      "version": {
       "type": "string",
       "maxLength": 128
      }
     },
     "additionalProperties": false
    },
    "instances": {
     "type": "object",
     "required": [
      "owned"
     ],
     "properties": {
      "owned": {
       "type": "integer",
       "minimum": 0
      }
     },
     "additionalProperties": false
    },
    "otherOwner": {
     "type": "string",
     "maxLength": 200
    },
    "lastHandledReconcileAt": {
     "type": "string",
     "maxLength": 253
    },
    "lastHandledReleaseAt": {
     "type": "string",
     "maxLength": 253
    }
   },
   "additionalProperties": false
  }
 }
};
